"""Train every reading of the paper's open points under one seed and budget, on real CAVE scenes.

    python benchmarks/decisions.py --root DIR --out docs/results/decisions.json            # the readings
    python benchmarks/decisions.py --root DIR --out docs/results/depths.json --depths      # depth per level
    python benchmarks/decisions.py --root DIR --out docs/results/guides.json --guides      # HRMSI in MSG
    python benchmarks/decisions.py --out docs/results/decisions.json --table               # as Markdown

Each run trains on the 20 scenes of CAVE's split at scale 4 (preset `paper`) with the shipped loss, optimiser
and curve, and measures the validation regions (four windows of training scenes that training never sees).
Runs that the output file already holds are not repeated, so an interrupted call goes on. `--width`,
`--steps`, `--patch` and `--batch` set the budget; it is recorded, and runs of another budget are refused.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cofusion import CoFusion, FusionDataModule
from cofusion.metrics import psnr, sam
from cofusion.scenes import CAVE
from cofusion.sensors import CsvResponse
from cofusion.training import Cosine, FusionLoss
from readings import GUIDES, START_DEPTHS, Unguided, all_readings, build, guidance

# Distributions of depth over full, half and quarter resolution, all with the parameters of Table 3:
# SpaCAM / residual blocks of E_c / of E_c'.
DEPTHS = [
    "1,1,9 / 1,1,9 / 1,1,10",
    "1,2,8 / 1,3,7 / 1,3,8",
    "1,1,9 / 1,2,8 / 1,2,9",
    "2,3,6 / 1,3,7 / 1,3,8",
    "1,4,6 / 1,5,5 / 1,5,6",
    "2,3,6 / 2,4,5 / 2,4,6",
    "1,2,17 / 1,1,1 / 1,1,1",
    "1,1,18 / 1,1,1 / 1,1,1",
]
# Asked beside the depths, at their width, of the network with most SpaCAM.
WAVELET = "sym4"


@dataclass(frozen=True)
class Budget:
    """What all runs of a file share."""

    width: int
    steps: int
    patch: int
    batch: int


def main() -> None:
    args = arguments()
    budget = Budget(args.width, args.steps, args.patch, args.batch)
    record = read(args.out, budget)
    if args.table:
        print(table(record))
        return
    torch.set_num_threads(1)
    jobs = [
        (question, reading, seed)
        for seed in range(args.seeds)
        for question, reading in chosen(args)
        if not any(
            (r["question"], r["reading"], r["seed"]) == (question, reading, seed) for r in record["runs"]
        )
    ]
    data = scenes(args.root, args.split, budget)
    # Forked processes share the scenes.
    with multiprocessing.get_context("fork").Pool(args.processes, begin, (data, budget)) as pool:
        for done in pool.imap_unordered(run, jobs):
            record["runs"].append(done)
            args.out.write_text(json.dumps(record, indent=1) + "\n")
            print(
                f"{done['question']}: {done['reading']}, seed {done['seed']}: {done['psnr']:.2f} dB",
                flush=True,
            )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder of the CAVE scenes")
    parser.add_argument("--split", default="cave_20_11", help="split of the CAVE scenes, a name or a file")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write or to go on with")
    parser.add_argument("--table", action="store_true", help="print the file as Markdown and stop")
    parser.add_argument(
        "--depths", action="store_true", help="compare distributions of depth over the levels"
    )
    parser.add_argument("--guides", action="store_true", help="compare how the HRMSI guides MSG's flows")
    parser.add_argument("--only", nargs="*", help="questions to answer; all when left out")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--processes", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--patch", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    return parser.parse_args()


def chosen(args: argparse.Namespace) -> list[tuple[str, str]]:
    if args.guides:
        return [("guide", reading) for reading in GUIDES]
    if args.depths:
        return [("depths", text) for text in DEPTHS] + [("wavelet", WAVELET)]
    readings = all_readings()
    return [r for r in readings if not args.only or r[0] in args.only]


def read(path: Path, budget: Budget) -> dict[str, Any]:
    """Return the file's record, or an empty one; exit where it was made under another budget."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return {"data": "CAVE x4, preset paper, split cave_20_11", "budget": vars(budget), "runs": []}
    record = json.loads(path.read_text())
    if record["budget"] != vars(budget) and "--table" not in sys.argv:
        sys.exit(f"{path} was made with {record['budget']}, now asked for {vars(budget)}; give another --out")
    return record


def scenes(root: Path, split: str, budget: Budget) -> FusionDataModule:
    data = FusionDataModule(
        CAVE,
        split=split,
        scale=4,
        response=CsvResponse("nikon_d700"),
        root=root,
        patch=budget.patch,
        batch_size=budget.batch,
        patches_per_epoch=budget.steps * budget.batch,
    )
    data.setup("fit")
    return data


def begin(data: FusionDataModule, budget: Budget) -> None:
    """Keep what every run of this process needs."""
    global DATA, BUDGET
    DATA, BUDGET = data, budget
    torch.set_num_threads(1)


def run(job: tuple[str, str, int]) -> dict[str, Any]:
    """Train and measure one reading."""
    question, reading, seed = job
    torch.manual_seed(seed)
    shape = (DATA.hsi_bands, DATA.msi_bands, DATA.scale, DATA.phase)
    if question in ASKED:
        net = CoFusion(*shape[:3], phase=DATA.phase, dim=BUDGET.width, **ASKED[question](reading))
        (GUIDES[reading] if question == "guide" else guidance(Unguided))(net)
    else:
        net = build(question, reading, *shape, dim=BUDGET.width)
    DATA.seed = 3407 + seed
    start = time.perf_counter()
    loss = train(net)
    return {
        "question": question,
        "reading": reading,
        "seed": seed,
        **measure(net),
        "loss": round(loss, 6),
        "parameters": sum(p.numel() for p in net.parameters()),
        "seconds": round(time.perf_counter() - start, 1),
    }


def depths(text: str) -> dict[str, tuple[int, ...]]:
    """Read one of `DEPTHS` as arguments of `CoFusion`."""
    names = ("spacam_depths", "local_depths", "proxy_depths")
    parts = (tuple(map(int, part.split(","))) for part in text.split("/"))
    return dict(zip(names, parts, strict=True))


# Questions that are asked of the shipped network, and the arguments that a reading gives it. Depths and the
# wavelet are asked without the guide.
ASKED: dict[str, Callable[[str], dict[str, Any]]] = {
    "guide": lambda reading: {},
    "depths": depths,
    "wavelet": lambda reading: {"wavelet": reading, **START_DEPTHS},
}


def train(net: nn.Module) -> float:
    """Train with the shipped recipe and return the mean loss of the last tenth."""
    net.train()
    loss_function, curve = FusionLoss(), Cosine(warmup=0.05)
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    losses = []
    for step, batch in enumerate(DATA.train_dataloader()):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * curve(step / BUDGET.steps)
        loss = loss_function(net(batch["lr_hsi"], batch["hr_msi"]), batch["hr_hsi"])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return statistics.mean(losses[-max(1, len(losses) // 10) :])


def measure(net: nn.Module) -> dict[str, float]:
    """Mean PSNR (dB) and SAM (degrees) over the validation regions."""
    net.eval()
    found: dict[str, list[float]] = {"psnr": [], "sam": []}
    with torch.inference_mode():
        for batch in DATA.val_dataloader():
            fused = net(batch["lr_hsi"], batch["hr_msi"]).clamp(0, 1)
            found["psnr"].append(psnr(fused, batch["hr_hsi"]).item())
            found["sam"].append(sam(fused, batch["hr_hsi"]).item())
    return {name: round(statistics.mean(values), 4) for name, values in found.items()}


def table(record: dict[str, Any]) -> str:
    """Return one Markdown row per reading: the mean over its seeds, and by how much it beats the first one's.

    The difference is the mean over the seeds that both have.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in record["runs"]:
        groups.setdefault((entry["question"], entry["reading"]), []).append(entry)
    first = {entry["seed"]: entry["psnr"] for entry in next(iter(groups.values()))}
    lines = [
        "| question | reading | PSNR (dB) | seeds | against the first | SAM (°) | parameters |",
        "| :--- | :--- | ---: | :--- | ---: | ---: | ---: |",
    ]
    for (question, reading), runs in groups.items():
        values = [r["psnr"] for r in runs]
        gain = statistics.mean(r["psnr"] - first[r["seed"]] for r in runs if r["seed"] in first)
        lines.append(
            f"| {question} | {reading} | {statistics.mean(values):.2f} | "
            f"{', '.join(f'{v:.2f}' for v in values)} | {gain:+.2f} | "
            f"{statistics.mean(r['sam'] for r in runs):.2f} | {runs[0]['parameters']:,} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
