"""A run that SLURM warns saves, asks to be queued again, ends, and goes on to the same weights."""

import csv
import functools
import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from cofusion.cli import main
from cofusion.training import FusionModule
from command import QUICK, one_thread
from run_files import check_same_training, load

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
        assert "it is queued again and goes on" in capfd.readouterr().out
        assert load(warned)["global_step"] == batches // (2 if options else 1)
        assert main(start) == 0
    assert job.read_text() == "requeue 417\n"
    check_same_training(warned, whole)
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
    assert "job 417" in line and "submit the same command again" in line
    assert load(tmp_path / "run")["global_step"] == 2


@pytest.mark.parametrize("warned", [False, True])
def test_signals_have_their_earlier_meanings_again_after_the_run(warned, job, tmp_path, monkeypatch):
    before = [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGTERM)]
    if warned:
        warn_at(monkeypatch, "training_step", 2)
    start = ["fit", *RUN, "--run_dir", str(tmp_path / "run"), "--ckpt_path=last", "--test_after_fit=false"]
    assert main(start) == (75 if warned else 0)
    assert [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGTERM)] == before


def rows(run: Path, cut: int | None) -> list[dict[str, str]]:
    """The rows of `metrics.csv`, without times and the means over its batches of an epoch that was cut."""
    found = [
        {name: value for name, value in row.items() if not name.startswith(("test/", "fit_time_s"))}
        for row in csv.DictReader((run / "metrics.csv").read_text().splitlines())
        if not row.get("test/psnr")
    ]
    for row in found:
        if row["epoch"] == str(cut):
            for name in [name for name in row if name.startswith(RESUMED_EPOCH_MEANS)]:
                del row[name]
    return found
