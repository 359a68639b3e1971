"""How close the network is to its convolutions, what it costs, and how it compares with other networks.

    python benchmarks/network.py                      # ratios and costs, every variant
    python benchmarks/network.py --methods            # latency against U2Net, PSRT and 3DT-Net
    python benchmarks/network.py --depths             # latency of distributions of depth over the levels
    python benchmarks/network.py --compile --bf16     # what to run: compiled, in mixed precision
    python benchmarks/network.py --check              # exit with 1 where a limit is missed

For 64x64 and 128x128 outputs at 31/3 and 103/4 bands and scale 4, on CPU or, with `--device cuda`, on a GPU.
The bound is the time of the network's own convolutions, run back to back on inputs of the same shapes and
memory layout, forward or forward and backward. What is compared is timed in turn, in one process, and the
median of every turn's ratio is printed: absolute times on a shared machine mean little.

On CPU every network gets the allocator's kinder setting, that of the `cofusion` command
(`cofusion.memory`); `--default-malloc` leaves it alone. Compiled networks are frozen for inference
(`torch._inductor.config.freezing`), so that their convolutions are fused with what follows.
"""

import argparse
import json
import multiprocessing
import platform
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch
import torch._inductor.config as inductor
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cofusion import CoFusion
from cofusion.memory import keep_pages
from cofusion.models.cofusion import Variant
from cofusion.models.deep import PSRT, ThreeDTNet, U2Net
from decisions import DEPTHS
from decisions import depths as parse_depths

SCALE = 4
SIZES = (64, 128)
BANDS = ((31, 3), (103, 4))
# Forward over convolutions: eager on CPU; compiled, or on a GPU. Forward and backward over the same.
EAGER_LIMIT, FAST_LIMIT, TRAINING_LIMIT = 1.25, 1.15, 1.35
# How many times as long as CoFusion each of them has to take.
GOALS = {"U2Net": 2.9, "3DT-Net": 12.0, "PSRT": 1.0}


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
    if args.methods:
        rows, failures = methods(args)
    elif args.depths:
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
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--methods", action="store_true", help="compare with other networks")
    what.add_argument("--depths", action="store_true", help="compare distributions of depth over the levels")
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
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net.eval()(*one)
    run = compiled(args, net)
    seconds = in_turn(
        args,
        {
            "forward": partial(forward, args, run, one),
            "convolutions": Convolutions(args, net.eval(), one).forward,
        },
    )
    batch = in_turn(args, {"forward": partial(forward, args, run, many)}, turns=3)
    net.train()
    training = in_turn(
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
        "forward / convolutions": ratio(seconds, "forward", "convolutions"),
        "training / convolutions": ratio(training, "step", "convolutions"),
        "latency (ms)": milliseconds(seconds["forward"]),
        "images/s at 16": round(16 / statistics.median(batch["forward"]), 1),
        "peak (MiB)": peak(args, size, bands, variant),
        "parameters (M)": round(sum(p.numel() for p in net.parameters()) / 1e6, 3),
        "multiply-adds (G)": round(counter.get_total_flops() / 2e9, 3),
    }


def methods(args: argparse.Namespace) -> tuple[list[dict[str, Any]], list[str]]:
    """One row per size, bands and network; the slow ones take fewer turns of the same rounds."""
    rows, failures = [], []
    networks = {"CoFusion": CoFusion, "U2Net": U2Net, "PSRT": PSRT, "3DT-Net": ThreeDTNet}
    for size in args.sizes:
        for bands in BANDS:
            inputs = pair(args, size, bands, 1)
            torch.manual_seed(0)
            nets = {name: kind(*bands, SCALE).to(args.device).eval() for name, kind in networks.items()}
            runs = {
                name: torch.compile(net, dynamic=False) if args.compile else net for name, net in nets.items()
            }
            seconds = in_turn(args, {name: partial(forward, args, run, inputs) for name, run in runs.items()})
            for name, net in nets.items():
                times = ratio(seconds, name, "CoFusion")
                rows.append(
                    {
                        "size": size,
                        "bands": "/".join(map(str, bands)),
                        "method": name,
                        "time / CoFusion's": times,
                        "latency (ms)": milliseconds(seconds[name]),
                        "parameters (M)": round(sum(p.numel() for p in net.parameters()) / 1e6, 3),
                    }
                )
                if name in GOALS and times < GOALS[name]:
                    failures.append(f"{name} at {size}x{size}, {bands}: {times} times, goal {GOALS[name]}")
    return rows, failures


def depths(args: argparse.Namespace) -> list[dict[str, Any]]:
    """One row per size and distribution of depth over the levels."""
    rows = []
    for size in args.sizes:
        inputs = pair(args, size, BANDS[0], 1)
        nets = {
            text: CoFusion(*BANDS[0], SCALE, **parse_depths(text)).to(args.device).eval() for text in DEPTHS
        }
        seconds = in_turn(args, {text: partial(forward, args, net, inputs) for text, net in nets.items()})
        rows += [
            {
                "size": size,
                "SpaCAM / E_c / E_c'": text,
                "latency (ms)": milliseconds(seconds[text]),
                "time / first's": ratio(seconds, text, DEPTHS[0]),
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


def in_turn(
    args: argparse.Namespace, jobs: dict[str, Callable[[], None]], turns: int | None = None
) -> dict[str, list[float]]:
    """Time every job once per turn, after two turns of warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(2 + (turns or args.turns)):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if args.device == "cuda":
                torch.cuda.synchronize()
            if turn > 1:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: dict[str, list[float]], of: str, over: str) -> float:
    """Median over the turns of the ratio of two jobs."""
    return round(statistics.median(a / b for a, b in zip(seconds[of], seconds[over], strict=True)), 3)


def milliseconds(seconds: list[float]) -> float:
    return round(1000 * statistics.median(seconds), 1)


def peak(args: argparse.Namespace, size: int, bands: tuple[int, int], variant: str) -> float:
    """Memory that one forward pass adds at most, in MiB: on CPU to the resident set of a fresh process."""
    if args.device == "cpu":
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(_peak_of_process, (args.threads, size, bands, variant))
    net = CoFusion(*bands, SCALE, variant=variant).to(args.device).eval()
    inputs = pair(args, size, bands, 1)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    forward(args, net, inputs)
    return round((torch.cuda.max_memory_allocated() - before) / 2**20, 1)


def _peak_of_process(threads: int, size: int, bands: tuple[int, int], variant: str) -> float:
    torch.set_num_threads(threads)
    net = CoFusion(*bands, SCALE, variant=variant).eval()
    small = torch.rand(1, bands[0], 1, 1), torch.rand(1, bands[1], SCALE, SCALE)
    inputs = torch.rand(1, bands[0], size // SCALE, size // SCALE), torch.rand(1, bands[1], size, size)
    with torch.inference_mode():
        # The libraries' own memory comes first.
        net(*small)
        # Linux forgets the peak so far, that of the imports.
        Path("/proc/self/clear_refs").write_text("5")
        before = _resident("VmRSS")
        net(*inputs)
        return round((_resident("VmHWM") - before) / 1024, 1)


def _resident(line: str) -> int:
    """Resident memory of this process in KiB: `VmRSS` now, `VmHWM` at its peak."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{line}:")[1].split()[0])


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as Markdown."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([row[name] for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    main()
