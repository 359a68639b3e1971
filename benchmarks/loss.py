"""What the loss costs: its share of a training step, and the speed of its SSIM against kornia's.

    python benchmarks/loss.py [--check]

Prints ratios of medians taken in turn in one run, since absolute times mean little on a shared machine. The
step is that of CAVE x4 (31 and 3 bands, patch 64, batch 8, width 64) on CPU: forward, loss, backward, AdamW.
With `--check` the exit code is 1 when the loss takes more than 20 % of the step.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from kornia.losses import SSIMLoss

from cofusion.metrics import ssim
from cofusion.models import CoFusion
from cofusion.training.losses import FusionLoss

HSI_BANDS, MSI_BANDS, SCALE = 31, 3, 4
LIMIT = 0.20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 when the loss takes too long")
    parser.add_argument("--patch", type=int, default=64, help="pixels; a multiple of 4")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--steps", type=int, default=5, help="training steps that are timed")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f"CAVE x{SCALE}, patch {args.patch}, batch {args.batch}, dim {args.dim}, {args.threads} threads")
    seconds = median_seconds(jobs(args.patch, args.batch, args.dim), args.steps)
    share = report(seconds)
    if args.check and share > LIMIT:
        sys.exit(f"FAILED: the loss takes {share:.1%} of a training step, more than {LIMIT:.0%}")


def jobs(patch: int, batch: int, dim: int) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name; the losses run forward and backward."""
    network = CoFusion(HSI_BANDS, MSI_BANDS, SCALE, dim=dim)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    loss, kornia_loss = FusionLoss(), SSIMLoss(window_size=11)
    lr_hsi = torch.rand(batch, HSI_BANDS, patch // SCALE, patch // SCALE)
    hr_msi = torch.rand(batch, MSI_BANDS, patch, patch)
    hr_hsi = torch.rand(batch, HSI_BANDS, patch, patch)
    fused = (hr_hsi + 0.05 * torch.randn_like(hr_hsi)).requires_grad_()

    def step() -> None:
        optimizer.zero_grad()
        loss(network(lr_hsi, hr_msi), hr_hsi).backward()
        optimizer.step()

    return {
        "step": step,
        "loss": lambda: torch.autograd.grad(loss(fused, hr_hsi), fused),
        "ssim": lambda: torch.autograd.grad(1 - ssim(fused, hr_hsi).mean(), fused),
        "kornia": lambda: torch.autograd.grad(kornia_loss(fused, hr_hsi), fused),
    }


def median_seconds(run: dict[str, Callable[[], object]], steps: int) -> dict[str, float]:
    """Time the jobs in turn, after one turn of warm-up; the short ones four times per turn."""
    seconds: dict[str, list[float]] = {name: [] for name in run}
    for turn in range(1 + steps):
        for name, job in run.items():
            for _ in range(1 if name == "step" else 4):
                start = time.perf_counter()
                job()
                if turn > 0:
                    seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def report(seconds: dict[str, float]) -> float:
    """Print the ratios and return the share of the loss in the step."""
    share = seconds["loss"] / seconds["step"]
    print(", ".join(f"{name} {1000 * value:.1f} ms" for name, value in seconds.items()))
    print(f"loss / training step: {share:.3f} (limit {LIMIT:.2f})")
    print(f"time of kornia's SSIMLoss / time of ours: {seconds['kornia'] / seconds['ssim']:.2f}")
    return share


if __name__ == "__main__":
    main()
