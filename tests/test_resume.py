"""A run that was killed and resumed ends like one that never was."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from cofusion import CoFusion
from cofusion.cli import main
from command import QUICK, one_thread

EPOCHS = 4
RUN = [
    *QUICK,
    "--trainer.max_epochs",
    str(EPOCHS),
    "--data.patches_per_epoch",
    "16",
    "--test_after_fit",
    "false",
]


@pytest.mark.parametrize(
    "options", [[], ["--data.num_workers", "2", "--config", "ema.yaml"]], ids=["plain", "workers-ema"]
)
def test_killed_and_resumed_equals_uninterrupted(options: list[str], tmp_path: Path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with one_thread():
        assert main(["fit", *RUN, *options, "--data.num_workers", "0", "--run_dir", str(whole)]) == 0
        _fit_and_kill(["fit", *RUN, *options, "--run_dir", str(killed)], killed)
        assert _load(killed)["epoch"] < EPOCHS - 1
        assert main(["fit", *RUN, *options, "--run_dir", str(killed), "--ckpt_path", "last"]) == 0
    expected, resumed = _load(whole), _load(killed)
    for part in (
        "state_dict",
        "current_model_state",
        "optimizer_states",
        "lr_schedulers",
        "epoch",
        "global_step",
    ):
        assert _equal(expected.get(part), resumed.get(part)), part
    assert _untimed(killed) == _untimed(whole)
    assert _equal(_load(whole, "best")["state_dict"], _load(killed, "best")["state_dict"])


def test_the_resumed_network_has_dropout():
    net = CoFusion(6, 4, 4, dim=8).train()
    pair = torch.rand(1, 6, 4, 4), torch.rand(1, 4, 16, 16)
    assert not torch.equal(net(*pair), net(*pair))


def _fit_and_kill(args: list[str], run: Path) -> None:
    """Start a run and kill it, with its workers, as soon as its first epoch is on disk."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cofusion", *args],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 90
    while not (
        (run / "checkpoints" / "last.ckpt").exists() and any(row.get("train/loss") for row in _rows(run))
    ):
        assert process.poll() is None, "the run ended by itself"
        assert time.monotonic() < deadline, "no checkpoint after 90 s"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def _load(run: Path, name: str = "last") -> dict:
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)


def _rows(run: Path) -> list[dict[str, str]]:
    file = run / "metrics.csv"
    return list(csv.DictReader(file.read_text().splitlines())) if file.exists() else []


def _untimed(run: Path) -> list[dict[str, str]]:
    return [{name: value for name, value in row.items() if name != "fit_time_s"} for row in _rows(run)]


def _equal(a: object, b: object) -> bool:
    """Compare nested values; tensors bit for bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(_equal, a, b))
    return a == b
