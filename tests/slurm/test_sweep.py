"""A sweep of the four variants through SLURM, disturbed on the way, gives the table of one run locally."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from command import SMALL_NET, SMALL_RUN
from pace import pace
from slurm.cluster import Cluster

pytestmark = pytest.mark.slow

VARIANTS = ["full", "no_spacam", "no_specam", "no_sscfm"]
SEEDS = [1, 2]
# Three epochs of four batches on the real scene that ships with a package.
TRAINING = [
    "--config=demo.yaml",
    *SMALL_RUN,
    *SMALL_NET,
    "--trainer.max_epochs=3",
    "--data.patches_per_epoch=8",
]
REQUEUED, CANCELLED = 1, 2


@pytest.fixture
def sweep(tmp_path: Path, cluster: Cluster) -> Callable[..., str]:
    """Run `cofusion sweep ARGS` where SLURM's commands find the cluster; gives what it prints."""
    file = {
        "name": "swept",
        "method": "grid",
        "parameters": {
            "seed_everything": {"values": SEEDS},
            "model.net.variant": {"values": VARIANTS},
        },
        "command": ["cofusion", "fit", *TRAINING, "${args}"],
    }
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(file, sort_keys=False))

    def run(verb: str, *args: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "cofusion", "sweep", verb, "sweep.yaml", *args],
            cwd=tmp_path,
            # One thread: sums over threads depend on their number.
            env={**cluster.env, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done.stdout

    return run


def test_a_sweep_through_slurm_gives_the_same_table_as_one_on_this_machine(cluster, sweep, tmp_path):
    on_slurm = ["--launcher", "slurm", "--jobs", "4", "--sbatch", "cpus-per-task=1", "--runs", "queued"]
    command = ["run", *on_slurm, "--", *pace(0.5)]
    runs = [tmp_path / "queued" / "swept" / trial(index) for index in range(8)]
    arrays = [submitted(sweep(*command), trials=8)]
    for index, words in ((REQUEUED, ["scontrol", "requeue"]), (CANCELLED, ["scancel"])):
        task = f"{arrays[0]}_{index}"
        cluster.wait(task, lambda _, run=runs[index]: (run / "checkpoints" / "last.ckpt").exists(), 240)
        assert cluster.run(*words, task).returncode == 0
    cluster.finish(f"{arrays[0]}_{CANCELLED}")
    while (state := states(sweep)[CANCELLED]) == "running":
        time.sleep(1)
    assert state == "cut"
    # A second array takes what was cancelled, and what the first one has not begun: they must share it.
    arrays.append(submitted(sweep(*command)))
    for array in arrays:
        for index in range(8):
            if cluster.job(f"{array}_{index}"):
                cluster.finish(f"{array}_{index}", 600)
    assert states(sweep) == ["complete"] * 8

    sweep("run", "--jobs", "2", "--runs", "local")
    queued, local = (
        measured(sweep("table", "--format", "csv", "--runs", root)) for root in ("queued", "local")
    )
    assert queued == local
    assert [row[0] for row in local[1:]] == ["w/o SpaCAM", "w/o SpeCAM", "w/o SSCFM", "Full Model"]

    for index, run in enumerate(runs):
        attempts = json.loads((run / "trial.json").read_text())["attempts"]
        outcomes = [attempt["outcome"] for attempt in attempts]
        assert outcomes == [*(["cut"] if index in (REQUEUED, CANCELLED) else []), "complete"]
        # One start after the other, never two at a time.
        times = [attempt[key] for attempt in attempts for key in ("began", "ended")]
        assert times == sorted(times)


def states(sweep: Callable[..., str]) -> list[str]:
    """Return the state of every trial."""
    return [line.split()[2] for line in sweep("status", "--runs", "queued").splitlines()[1:9]]


def submitted(said: str, trials: int | None = None) -> str:
    """Return the number of the array that was submitted."""
    count, number = re.search(r"submitted (\d) of 8 trials as job (\d+)", said).groups()
    assert trials in (None, int(count))
    return number


def trial(index: int) -> str:
    """Return a trial's name."""
    seed, variant = divmod(index, len(VARIANTS))
    return f"variant={VARIANTS[variant]},seed_everything={SEEDS[seed]}"


def measured(table: str) -> list[list[str]]:
    """The columns that are not times."""
    head, *rows = (line.split(",") for line in table.splitlines())
    kept = [i for i, name in enumerate(head) if "latency" not in name]
    assert len(kept) > 10
    return [[row[i] for i in kept] for row in (head, *rows)]
