"""What feeding costs: a training step with the real loader over the same step on one cached batch.

    python benchmarks/data.py [--root DIR] [--device cuda --workers 4] [--check]

CAVE at scale 4 with 31 and 3 bands. Without `--root` (the folder of the unpacked scenes) it runs on small
generated files. Steps with and without the loader alternate, so that a busy machine slows both alike; the
ratio is that of the medians. The light step, a two-layer network, shows the loader where hardly anything
hides it.
"""

import argparse
import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from cofusion.data import Batch, FusionDataModule
from cofusion.models import CoFusion
from cofusion.scenes import CAVE
from cofusion.sensors import CsvResponse
from cofusion.training import FusionLoss

LIMIT = 1.05


class Light(nn.Module):
    """About the least that maps a pair to a cube."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(3, 31, 1)
        self.spectral = nn.Conv2d(31, 31, 1)

    def forward(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Return `(B, 31, H, W)`."""
        up = nn.functional.interpolate(self.spectral(lr_hsi), size=hr_msi.shape[-2:])
        return up + self.spatial(hr_msi)


def forever(data: FusionDataModule) -> Iterator[Batch]:
    loader = data.train_dataloader()
    epoch = 0
    while True:
        loader.sampler.set_epoch(epoch)
        yield from loader
        epoch += 1


class Step:
    """One optimiser step of a network, timed."""

    def __init__(self, net: nn.Module, loss: nn.Module, device: torch.device) -> None:
        self.net = net.to(device)
        self.loss = loss
        self.device = device
        self.optimizer = torch.optim.AdamW(net.parameters(), 1e-4)

    def __call__(self, batches: Iterator[Batch]) -> tuple[float, float]:
        """Return the seconds until the batch is there and those until the end of the step."""
        begin = time.perf_counter()
        batch = next(batches)
        there = time.perf_counter()
        lr_hsi, hr_msi, hr_hsi = (
            batch[key].to(self.device, non_blocking=True) for key in ("lr_hsi", "hr_msi", "hr_hsi")
        )
        self.optimizer.zero_grad()
        self.loss(self.net(lr_hsi, hr_msi), hr_hsi).backward()
        self.optimizer.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return there - begin, time.perf_counter() - begin


def cached(batch: Batch, device: torch.device) -> Iterator[Batch]:
    kept = {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}
    while True:
        yield kept


def compare(name: str, step: Step, loading: Iterator[Batch], steps: int) -> float:
    fixed = cached(next(loading), step.device)
    step(fixed), step(loading)  # warm up
    pairs = [(step(fixed), step(loading)) for _ in range(steps)]
    without = statistics.median(one for (_, one), _ in pairs)
    with_loader = statistics.median(one for _, (_, one) in pairs)
    waiting = statistics.median(wait for _, (wait, _) in pairs)
    print(
        f"{name:>14}: {1e3 * without:.1f} ms on a cached batch, {1e3 * with_loader:.1f} ms with the loader "
        f"(waiting {1e3 * waiting:.1f} ms), ratio {with_loader / without:.3f}, {steps} steps each"
    )
    return with_loader / without


def time_loader(loading: Iterator[Batch], count: int = 30) -> float:
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        next(loading)
        times.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(times)


def generate(folder: Path) -> str:
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    importlib.import_module("scene_files").write_cave(folder, size=256)
    return str(folder / "split.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="folder of the unpacked CAVE scenes")
    parser.add_argument("--patch", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--dim", type=int, default=64, help="width of CoFusion")
    parser.add_argument("--steps", type=int, default=5, help="measured steps of CoFusion, each way")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--check", action="store_true", help="exit with 1 when loading costs too much")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with tempfile.TemporaryDirectory() as folder:
        split = "cave_20_11" if chosen.root else generate(Path(folder))
        data = FusionDataModule(
            CAVE,
            split,
            4,
            CsvResponse("nikon_d700"),
            root=chosen.root or Path(folder),
            patch=chosen.patch,
            batch_size=chosen.batch,
            num_workers=chosen.workers,
        )
        begin = time.perf_counter()
        data.setup("fit")
        seconds = time.perf_counter() - begin
        print(f"{len(data.split.train)} training scenes read and degraded in {seconds:.1f} s")
    loading = forever(data)
    next(loading)
    print(f"loader alone: {time_loader(loading):.1f} ms per batch of {chosen.batch} x {chosen.patch}^2")
    net = CoFusion(31, 3, 4, dim=chosen.dim)
    compare("light step", Step(Light(), nn.L1Loss(), chosen.device), loading, 20)
    step = Step(net, FusionLoss(), chosen.device)
    ratio = compare(f"CoFusion, D={chosen.dim}", step, loading, chosen.steps)
    if chosen.check and ratio > LIMIT:
        sys.exit(f"FAILED: loading makes a step of CoFusion {ratio:.3f} times as long, more than {LIMIT}")


if __name__ == "__main__":
    main()
