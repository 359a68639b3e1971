"""How close the network is to its convolutions, and what it costs.

    python benchmarks/network.py                      # ratios and costs, every variant
    python benchmarks/network.py --depths             # latency of distributions of depth over the levels
    python benchmarks/network.py --compile --bf16     # what to run: compiled, in mixed precision
    python benchmarks/network.py --check              # exit with 1 where a limit is missed

For 64x64 and 128x128 outputs at 31/3 and 103/4 bands and scale 4, on CPU or, with `--device cuda`, on a GPU.
The bound is the time of the network's own convolutions, run back to back on inputs of the same shapes and
memory layout, forward or forward and backward. What is compared is timed in turn, in one process, and the
median of every turn's ratio is printed: absolute times on a shared machine mean little. How it compares with
other networks is what `cofusion benchmark speed` measures.

On CPU every network gets the allocator's kinder setting, that of the `cofusion` command
(`cofusion.memory`); `--default-malloc` leaves it alone. Compiled networks are frozen for inference
(`torch._inductor.config.freezing`), so that their convolutions are fused with what follows.
"""

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch
import torch._inductor.config as inductor
from torch import Tensor, nn

from cofusion import CoFusion
from cofusion.memory import keep_pages
from cofusion.models.cofusion import Variant
from cofusion.speed.case import Case
from cofusion.speed.costs import costs
from cofusion.speed.methods import COFUSION
from cofusion.speed.timing import in_turn, milliseconds, ratio, warm_up
from decisions import DEPTHS
from decisions import depths as parse_depths

SCALE = 4
SIZES = (64, 128)
BANDS = ((31, 3), (103, 4))
# Forward over convolutions: eager on CPU; compiled, or on a GPU. Forward and backward over the same.
EAGER_LIMIT, FAST_LIMIT, TRAINING_LIMIT = 1.25, 1.15, 1.35


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    inductor.freezing = args.compile
    if args.device == "cpu" and not args.default_malloc:
        keep_pages()
    print(
        f"{machine(args)}; {'compiled' if args.compile else 'eager'}, {'bf16' if args.bf16 else 'float32'}, "
        f"{'default allocator' if args.default_malloc else 'allocator keeps pages'}"
    )
    if args.depths:
        rows, failures = depths(args), []
    else:
        rows, failures = variants(args)
    print(table(rows))
    if args.out:
        record = {"machine": machine(args), "arguments": vars(args) | {"out": None}, "rows": rows}
        args.out.write_text(json.dumps(record, indent=1) + "\n")
    for failure in failures:
        print(f"MISSED: {failure}")
    if args.check and failures:
        sys.exit(1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--depths", action="store_true", help="compare distributions of depth instead")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    parser.add_argument("--compile", action="store_true", help="time the network through torch.compile")
    parser.add_argument("--variants", nargs="+", default=get_args(Variant), help="ablation variants")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="rows and columns of the output")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--default-malloc", action="store_true")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a limit is missed")
    parser.add_argument("--out", type=Path, help="also write the rows as JSON")
    return parser.parse_args()


def machine(args: argparse.Namespace) -> str:
    if args.device == "cuda":
        return torch.cuda.get_device_name()
    return f"CPU {platform.machine()}, {args.threads} threads, torch {torch.__version__}"


# --- What is compared ---------------------------------------------------------------------------------------
def variants(args: argparse.Namespace) -> tuple[list[dict[str, Any]], list[str]]:
    """One row per size, bands and ablation variant."""
    rows, failures = [], []
    limit = FAST_LIMIT if args.compile or args.device == "cuda" else EAGER_LIMIT
    for size in args.sizes:
        for bands in BANDS:
            for variant in args.variants:
                row = cost(args, size, bands, variant)
                rows.append(row)
                where = f"{variant} at {size}x{size}, {row['bands']} bands"
                if variant == "full" and row["forward / convolutions"] > limit:
                    failures.append(f"{where}: forward / convolutions above {limit}")
                if variant == "full" and row["training / convolutions"] > TRAINING_LIMIT:
                    failures.append(f"{where}: training / convolutions above {TRAINING_LIMIT}")
    return rows, failures


def cost(args: argparse.Namespace, size: int, bands: tuple[int, int], variant: str) -> dict[str, Any]:
    torch.manual_seed(0)
    torch.compiler.reset()
    net = CoFusion(*bands, SCALE, variant=variant).to(args.device)
    one, several, many = (pair(args, size, bands, batch) for batch in (1, 2, 16))
    name = COFUSION if variant == "full" else variant
    (known,) = costs(name, [Case(size, bands, SCALE)], args.device)
    run = compiled(args, net)
    seconds = timed(
        args,
        {
            "forward": partial(forward, args, run, one),
            "convolutions": Convolutions(args, net.eval(), one).forward,
        },
    )
    batch = timed(args, {"forward": partial(forward, args, run, many)}, turns=3)
    net.train()
    training = timed(
        args,
        {
            "step": partial(forward_backward, args, run, net, several),
            "convolutions": Convolutions(args, net, several).forward_backward,
        },
        turns=7,
    )
    return {
        "size": size,
        "bands": "/".join(map(str, bands)),
        "variant": variant,
        "forward / convolutions": rounded(seconds["forward"], seconds["convolutions"]),
        "training / convolutions": rounded(training["step"], training["convolutions"]),
        "latency (ms)": round(milliseconds(seconds["forward"]), 1),
        "images/s at 16": round(16 / statistics.median(batch["forward"]), 1),
        "peak (MiB)": known.peak and round(known.peak / 2**20, 1),
        "parameters (M)": round(known.parameters / 1e6, 3),
        "multiply-adds (G)": round(known.multiply_adds / 1e9, 3),
    }


def depths(args: argparse.Namespace) -> list[dict[str, Any]]:
    """One row per size and distribution of depth over the levels."""
    rows = []
    for size in args.sizes:
        inputs = pair(args, size, BANDS[0], 1)
        nets = {
            text: CoFusion(*BANDS[0], SCALE, **parse_depths(text)).to(args.device).eval() for text in DEPTHS
        }
        seconds = timed(args, {text: partial(forward, args, net, inputs) for text, net in nets.items()})
        rows += [
            {
                "size": size,
                "SpaCAM / E_c / E_c'": text,
                "latency (ms)": round(milliseconds(seconds[text]), 1),
                "time / first's": rounded(seconds[text], seconds[DEPTHS[0]]),
            }
            for text in DEPTHS
        ]
    return rows


# --- What is timed ------------------------------------------------------------------------------------------
def pair(args: argparse.Namespace, size: int, bands: tuple[int, int], batch: int) -> tuple[Tensor, Tensor]:
    lr_hsi = torch.rand(batch, bands[0], size // SCALE, size // SCALE, device=args.device)
    return lr_hsi, torch.rand(batch, bands[1], size, size, device=args.device)


def compiled(args: argparse.Namespace, net: nn.Module) -> Any:
    # Frozen convolutions fail on sizes that vary (torch 2.13).
    return torch.compile(net, dynamic=False) if args.compile else net


def forward(args: argparse.Namespace, net: Any, inputs: tuple[Tensor, Tensor]) -> None:
    with torch.inference_mode(), precision(args):
        net(*inputs)


def forward_backward(
    args: argparse.Namespace, run: Any, net: nn.Module, inputs: tuple[Tensor, Tensor]
) -> None:
    """A training step without the optimiser, whose time does not depend on the images."""
    net.zero_grad()
    with precision(args):
        fused = run(*inputs)
    fused.backward(torch.ones_like(fused))


def precision(args: argparse.Namespace) -> torch.autocast:
    return torch.autocast(args.device, torch.bfloat16, enabled=args.bf16)


class Convolutions:
    """The convolution layers of one forward pass, on inputs of the same shape, layout and type."""

    def __init__(self, args: argparse.Namespace, net: nn.Module, inputs: tuple[Tensor, Tensor]) -> None:
        self.args = args
        self.calls: list[tuple[nn.Module, Tensor]] = []
        hooks = [m.register_forward_hook(self._note) for m in net.modules() if isinstance(m, nn.Conv2d)]
        with precision(args):
            net(*inputs)
        for hook in hooks:
            hook.remove()
        self.gradients: list[Tensor] = []

    def _note(self, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        x = inputs[0]
        self.calls.append((module, x.detach().clone().requires_grad_(x.requires_grad)))

    def forward(self) -> None:
        with torch.inference_mode(), precision(self.args):
            for module, x in self.calls:
                module(x)

    def forward_backward(self) -> None:
        for module, x in self.calls:
            module.zero_grad()
            x.grad = None
        with precision(self.args):
            outputs = [module(x) for module, x in self.calls]
        if not self.gradients:
            self.gradients = [torch.ones_like(output) for output in outputs]
        torch.autograd.backward(outputs, self.gradients)


def timed(
    args: argparse.Namespace, jobs: dict[str, Callable[[], None]], turns: int | None = None
) -> dict[str, list[float]]:
    warm_up(jobs, args.device)
    return in_turn(jobs, turns or args.turns, device=args.device)


def rounded(of: list[float], over: list[float]) -> float:
    return round(ratio(of, over), 3)


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as Markdown."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([row[name] for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    main()
