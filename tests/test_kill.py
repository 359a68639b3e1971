"""Runs that are really killed, at every kind of moment, go on and end like one that never was."""

import json
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from command import QUICK, small_disk
from nursery import Nursery
from scene_files import write_split

# Three epochs of eight batches.
RUN = [*QUICK, "--trainer.max_epochs=3", "--data.patches_per_epoch=16"]


def slow(*values: object) -> object:
    """A case of a parametrised test that only the long tests take."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as nursery:
        yield nursery


@pytest.fixture(scope="module")
def whole(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing happened to."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert nursery.run("fit", *RUN, "--run_dir", str(run))[0] == 0
    return run


@pytest.mark.parametrize(
    ("what", "call"),
    [
        slow("training", 3),  # before there is any checkpoint
        ("training", 13),  # in the middle of an epoch
        slow("checkpoint", 1),
        slow("checkpoint", 3),  # best.ckpt of the second epoch
        ("checkpoint", 4),  # last.ckpt of the second epoch
        slow("rotation", 2),
        slow("validation", 3),  # the first call is the sanity check's
        slow("test", 1),
        slow("results", 1),  # after training
        ("results", 2),  # after the test
    ],
)
def test_killed_in_the_middle_of(what: str, call: int, nursery: Nursery, whole: Path, tmp_path: Path):
    run = tmp_path / "run"
    command = ["fit", *RUN, "--run_dir", str(run), "--ckpt_path", "last"]
    status, _ = nursery.run(*command, during=(what, call))
    assert status == -signal.SIGKILL
    _check_results_are_whole(run)
    assert nursery.run(*command)[0] == 0
    check_equal(run, whole)


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(20))
def test_killed_at_a_random_moment(moment: int, nursery: Nursery, whole: Path, tmp_path: Path):
    run = tmp_path / "run"
    command = ["fit", *RUN, "--run_dir", str(run), "--ckpt_path", "last"]
    delay = random.Random(moment).uniform(0, 2)  # a run takes about as long
    nursery.run(*command, after=delay)
    _check_results_are_whole(run)
    assert nursery.run(*command)[0] == 0
    check_equal(run, whole)


@pytest.mark.slow
def test_killed_with_workers(nursery: Nursery, whole: Path, tmp_path: Path):
    run = tmp_path / "run"
    command = ["fit", *RUN, "--data.num_workers", "2", "--run_dir", str(run), "--ckpt_path", "last"]
    assert nursery.run(*command, during=("training", 13))[0] == -signal.SIGKILL
    assert nursery.run(*command)[0] == 0
    check_equal(run, whole)


@pytest.mark.slow
@pytest.mark.parametrize(("what", "ends"), [("training", -signal.SIGKILL), ("sigterm", 143)])
def test_two_processes(what: str, ends: int, nursery: Nursery, tmp_path: Path):
    split = write_split(
        tmp_path / "split.yaml",
        "synthetic",
        train=[{"scene": "synthetic_0"}],
        validation=[{"scene": f"synthetic_{i}"} for i in (1, 2)],
        test=[{"scene": f"synthetic_{i}"} for i in (3, 4)],
    )
    both = ["--trainer.devices=2", "--trainer.strategy=ddp", "--data.scenes.count=5", f"--data.split={split}"]
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert nursery.run("fit", *RUN, *both, "--run_dir", str(whole))[0] == 0
    command = ["fit", *RUN, *both, "--run_dir", str(run), "--ckpt_path", "last"]
    assert nursery.run(*command, during=(what, 6))[0] == ends
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 0
    assert nursery.run(*command)[0] == 0
    check_equal(run, whole)


def test_sigterm_ends_a_run_between_two_batches(nursery: Nursery, whole: Path, tmp_path: Path):
    run = tmp_path / "run"
    command = ["fit", *RUN, "--run_dir", str(run), "--ckpt_path", "last"]
    status, said = nursery.run(*command, during=("sigterm", 13))
    assert status == 143
    assert said.splitlines()[-1].startswith("cofusion: error: stopped by SIGTERM; fit goes on with")
    assert "Traceback" not in said
    results = json.loads((run / "results.json").read_text())
    assert (results["epochs_done"], results["epochs_planned"], results["steps"]) == (1, 3, 13)
    assert nursery.run(*command)[0] == 0
    check_equal(run, whole)


def test_a_damaged_last_checkpoint_is_replaced_by_the_one_before(
    nursery: Nursery, whole: Path, tmp_path: Path
):
    run = tmp_path / "run"
    command = ["fit", *RUN, "--run_dir", str(run), "--ckpt_path", "last"]
    assert nursery.run(*command, during=("training", 20))[0] == -signal.SIGKILL
    last, previous = run / "checkpoints" / "last.ckpt", run / "checkpoints" / "previous.ckpt"
    os.truncate(last, last.stat().st_size // 2)
    # Killed again before it can write a checkpoint, and then as the first one moves into place.
    for during in (("training", 3), ("checkpoint", 2)):
        status, said = nursery.run(*command, during=during)
        assert status == -signal.SIGKILL
        (line,) = [line for line in said.splitlines() if line.startswith("note: ")]
        assert str(last) in line and "truncated" in line and line.endswith("the one before it, previous.ckpt")
    assert nursery.run(*command)[0] == 0
    check_equal(run, whole)

    for path in (last, previous):
        path.write_bytes(b"")
    status, said = nursery.run(*command)
    assert status == 1
    assert said.splitlines()[-1].endswith("begin again in another --run_dir")


@pytest.mark.slow
@pytest.mark.parametrize("call", [3, 4])
def test_a_disk_that_is_full_ends_the_run_with_one_line(
    call: int, nursery: Nursery, whole: Path, tmp_path: Path
):
    run = tmp_path / "run"
    command = ["fit", *RUN, "--run_dir", str(run), "--ckpt_path", "last"]
    status, said = nursery.run(*command, during=("full disk", call))
    _check_says_that_the_disk_is_full(status, said, run)
    assert nursery.run(*command)[0] == 0
    check_equal(run, whole)


def test_a_small_disk(nursery: Nursery, whole: Path, tmp_path: Path):
    # A checkpoint has 0.7 MB; three and one that is being written need more than there is.
    with small_disk(tmp_path / "disk", "2400k") as (disk, grow):
        run = disk / "run"
        command = ["fit", *RUN, "--run_dir", str(run), "--ckpt_path", "last"]
        status, said = nursery.run(*command)
        _check_says_that_the_disk_is_full(status, said, run)
        grow("20m")
        assert nursery.run(*command)[0] == 0
        check_equal(run, whole)


def _check_says_that_the_disk_is_full(status: int, said: str, run: Path) -> None:
    assert status == 1
    assert said.splitlines()[-1].startswith(f"cofusion: error: cannot write {run / 'checkpoints'}")
    assert "MB are free there" in said and "Traceback" not in said
    assert not list((run / "checkpoints").glob(".*"))
    _check_results_are_whole(run)


def _check_results_are_whole(run: Path) -> None:
    path = run / "results.json"
    assert not path.exists() or json.loads(path.read_text())["versions"]


def check_equal(run: Path, whole: Path) -> None:
    """Check that a run ended like another: weights bit for bit, and everything that was measured."""
    for name in ("last", "best"):
        ours, theirs = (
            torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True) for folder in (run, whole)
        )
        for part in ("epoch", "global_step", "lr_schedulers"):
            assert ours[part] == theirs[part]
        for part in ("state_dict", "optimizer_states"):
            torch.testing.assert_close(ours[part], theirs[part], rtol=0, atol=0)
    results, expected = (json.loads((folder / "results.json").read_text()) for folder in (run, whole))
    for key in ("scenes", "mean", "baselines", "epochs_done", "steps", "checkpoint"):
        assert results[key] == expected[key]
    leftovers = {path.name for path in (run / "checkpoints").iterdir()}
    assert leftovers == {"best.ckpt", "last.ckpt", "previous.ckpt"}
