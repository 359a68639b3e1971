"""Running the `cofusion` command in tests, on a network and scenes small enough to train in a second."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

# One block of everything per level.
SHALLOW = {f"{part}_depths": (1, 1, 1) for part in ("spacam", "local", "proxy")}
SMALL_NET = ["--model.net.dim=8", *(f"--model.net.{name}=[1,1,1]" for name in SHALLOW)]
# Two epochs of two batches on the CPU, without a word on the way.
SMALL_RUN = [
    "--trainer.accelerator=cpu",
    "--trainer.max_epochs=2",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--data.patch=16",
    "--data.batch_size=2",
    "--data.patches_per_epoch=4",
]
SMALL = [*SMALL_RUN, *SMALL_NET]
SMALL_SCENES = ["--data.scenes.size=32", "--data.scenes.bands=6"]
QUICK = ["--config=quickstart.yaml", *SMALL, *SMALL_SCENES]


def in_subprocess(*args: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run `python -m cofusion ARGS` in a fresh process with one thread."""
    return subprocess.run(
        [sys.executable, "-m", "cofusion", *args],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute like a process with OMP_NUM_THREADS=1: sums over threads depend on their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """Make a file system of a size such as 2400k; gives its folder and what changes the size."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"only root may make a small disk: {getattr(error, 'stderr', error)}")

    def grow(to: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={to}", str(folder)], check=True)

    try:
        yield folder, grow
    finally:
        subprocess.run(["umount", str(folder)], check=True)
