"""A run that SLURM warns saves, asks to be queued again, ends, and goes on to the same weights."""

import csv
import functools
import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cofusion.cli import main
from cofusion.training import FusionModule
from command import QUICK, one_thread

EPOCHS, BATCHES = 3, 4
RUN = [*QUICK, f"--trainer.max_epochs={EPOCHS}", f"--data.patches_per_epoch={2 * BATCHES}"]
RESUMED_EPOCH_MEANS = ("train/loss", "health/")


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of a SLURM job of one task, with a `scontrol` that notes what it is asked."""
    asked = tmp_path / "asked"
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> "{asked}"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(scontrol.parent), prepend=":")
    numbers = {"JOB_ID": "417", "NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}
    for name, value in {**numbers, "JOB_NAME": "night"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    return asked


def warn_at(monkeypatch: pytest.MonkeyPatch, method: str, call: int) -> None:
    """Send this process SLURM's signal in the midst of the `call`-th call of a method of the module."""
    original: Callable = getattr(FusionModule, method)
    calls = 0

    def warned(self, *args):
        nonlocal calls
        calls += 1
        if calls == call:
            signal.raise_signal(signal.SIGUSR1)
        return original(self, *args)

    monkeypatch.setattr(FusionModule, method, warned)


PLAIN, ELABORATE = (), ("--data.num_workers=2", "--config=ema.yaml", "--trainer.accumulate_grad_batches=2")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, ...]], Path]:
    """Runs from beginning to end, outside any job."""

    @functools.cache
    def run(options: tuple[str, ...]) -> Path:
        directory = tmp_path_factory.mktemp("runs") / "whole"
        with one_thread():
            assert main(["fit", *RUN, *options, "--test_after_fit=false", "--run_dir", str(directory)]) == 0
        return directory

    return run


@pytest.mark.parametrize(
    ("options", "method", "call", "batches"),
    [
        (PLAIN, "training_step", 1, 1),
        (PLAIN, "training_step", BATCHES + 2, BATCHES + 2),
        # In the last batch of an epoch, or in its validation: both are finished. One validation before is the
        # check that begins a run.
        (PLAIN, "training_step", BATCHES, BATCHES),
        (PLAIN, "validation_step", 1 + 2, 2 * BATCHES),
        (PLAIN, "test_step", 1, EPOCHS * BATCHES),
        # In the first batch of an optimiser step: the second is waited for.
        (ELABORATE, "training_step", BATCHES + 1, BATCHES + 2),
    ],
)
def test_the_warned_and_resumed_run_equals_an_uninterrupted_one(
    options, method, call, batches, uninterrupted, job, tmp_path, monkeypatch, capfd
):
    whole, warned = uninterrupted(options), tmp_path / "warned"
    start = ["fit", *RUN, *options, "--run_dir", str(warned), "--ckpt_path", "last"]
    with one_thread():
        with monkeypatch.context() as patch:
            warn_at(patch, method, call)
            assert main(start) == 75
        assert job.read_text() == "requeue 417\n"
        assert "job 417 is queued again" in capfd.readouterr().out
        assert load(warned)["global_step"] == batches // (2 if options else 1)
        assert main(start) == 0
    assert job.read_text() == "requeue 417\n"
    expected, resumed = load(whole), load(warned)
    parts = ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers", "epoch", "global_step")
    for part in parts:
        assert equal(expected.get(part), resumed.get(part)), part
    assert equal(load(whole, "best")["state_dict"], load(warned, "best")["state_dict"])
    # The mean over an epoch that was cut is that over its second part.
    cut = batches // BATCHES if batches % BATCHES else None
    assert rows(warned, cut) == rows(whole, cut)
    assert json.loads((warned / "results.json").read_text())["epochs_done"] == EPOCHS
    # Lightning's own way leaves files that any later run in this directory would go on from.
    assert not list(warned.rglob("hpc_ckpt*"))


def test_one_task_of_an_array_queues_itself_alone(job, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "417")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    warn_at(monkeypatch, "training_step", 2)
    assert main(["fit", *RUN, "--run_dir", str(tmp_path / "run"), "--ckpt_path", "last"]) == 75
    assert job.read_text() == "requeue 417_3\n"


def test_a_command_that_would_begin_anew_is_not_queued_again(job, tmp_path, monkeypatch, capfd):
    warn_at(monkeypatch, "training_step", 2)
    assert main(["fit", *RUN, "--run_dir", str(tmp_path / "run")]) == 1
    assert not job.exists()
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("cofusion: error")]
    assert f"--run_dir {tmp_path / 'run'} --ckpt_path last" in line
    assert load(tmp_path / "run")["global_step"] == 2


def test_what_slurm_answers_is_told_where_it_does_not_queue_the_job_again(job, tmp_path, monkeypatch, capfd):
    (tmp_path / "bin" / "scontrol").write_text("#!/bin/sh\necho Requested operation denied >&2; exit 1\n")
    warn_at(monkeypatch, "training_step", 2)
    assert main(["fit", *RUN, "--run_dir", str(tmp_path / "run"), "--ckpt_path", "last"]) == 1
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("cofusion: error")]
    assert "Requested operation denied" in line
    assert "submit the same script again" in line
    assert load(tmp_path / "run")["global_step"] == 2


def test_the_signal_has_its_earlier_meaning_again_after_the_run(job, tmp_path):
    before = signal.getsignal(signal.SIGUSR1)
    assert main(["fit", *RUN, "--run_dir", str(tmp_path / "run"), "--test_after_fit=false"]) == 0
    assert signal.getsignal(signal.SIGUSR1) == before


def load(run: Path, name: str = "last") -> dict:
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)


def rows(run: Path, cut: int | None) -> list[dict[str, str]]:
    """The rows of `metrics.csv`, without what an epoch that was cut has as means over its batches."""
    found = [
        {name: value for name, value in row.items() if not name.startswith("test/")}
        for row in csv.DictReader((run / "metrics.csv").read_text().splitlines())
        if not row.get("test/psnr")
    ]
    for row in found:
        if row["epoch"] == str(cut):
            for name in [name for name in row if name.startswith(RESUMED_EPOCH_MEANS)]:
                del row[name]
    return found


def equal(a: object, b: object) -> bool:
    """Compare nested values; tensors bit for bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(equal, a, b))
    return a == b
