"""The shipped batch scripts on a real SLURM: what time, queue or hand cuts goes on to the same weights."""

import csv
import json
import time
from pathlib import Path

import pytest

from cofusion.cli import main
from cofusion.resources import resource_dir
from command import QUICK, in_subprocess, one_thread
from pace import pace
from run_files import check_same_training, load
from scene_files import write_split
from slurm.cluster import Cluster

pytestmark = pytest.mark.slow

EPOCHS, BATCHES = 4, 20
RUN = [*QUICK, f"--trainer.max_epochs={EPOCHS}", f"--data.patches_per_epoch={2 * BATCHES}"]
BOTH = ["--trainer.accelerator=cpu", f"--data.patches_per_epoch={4 * BATCHES}", "--data.scenes.count=5"]
# One thread: sums over threads depend on their number.
ONE_NODE = ["--cpus-per-task=1", str(resource_dir("configs") / "slurm" / "one_node.sh")]
TWO_GPUS = [
    *("--cpus-per-task=1", "--ntasks-per-node=2", "--gpus-per-node=2"),
    str(resource_dir("configs") / "slurm" / "several_gpus.sh"),
]
TWO_NODES = [
    *("--cpus-per-task=1", "--ntasks-per-node=1", "--gpus-per-node=1"),
    str(resource_dir("configs") / "slurm" / "several_nodes.sh"),
]


@pytest.fixture(scope="module", autouse=True)
def warned(cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A job whose time is over before its run is. It is awaited last: SLURM counts time in minutes."""
    folder = tmp_path_factory.mktemp("warned")
    # SLURM may warn half a minute early: between 45 and 75 seconds after the beginning.
    return cluster.submit("--time=2", "--signal=SIGUSR1@45", *ONE_NODE, *RUN, *pace(1.2), cwd=folder), folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, never interrupted, outside SLURM."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    with one_thread():
        assert main(["fit", *RUN, "--run_dir", str(directory)]) == 0
    return directory


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What makes it a run of two processes, each of which needs something to validate and test."""
    split = write_split(
        tmp_path_factory.mktemp("split") / "split.yaml",
        "synthetic",
        train=[{"scene": "synthetic_0"}],
        validation=[{"scene": f"synthetic_{i}"} for i in (1, 2)],
        test=[{"scene": f"synthetic_{i}"} for i in (3, 4)],
    )
    return [*BOTH, f"--data.split={split}"]


@pytest.fixture(scope="module")
def whole_of_two(of_two: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of two processes, never interrupted, outside SLURM."""
    directory = tmp_path_factory.mktemp("whole_of_two") / "run"
    run = ["fit", *RUN, "--config=topology/ddp.yaml", *of_two, "--trainer.devices=2"]
    done = in_subprocess(*run, "--run_dir", str(directory), cwd=directory.parent)
    assert done.returncode == 0, done.stderr
    return directory


def test_tasks_of_an_array_train_side_by_side_and_share_nothing(cluster, whole, tmp_path):
    array = cluster.submit("--array=0-1", *ONE_NODE, *RUN, cwd=tmp_path)
    jobs = [cluster.finish(f"{array}_{task}") for task in (0, 1)]
    assert [job["JobState"] for job in jobs] == ["COMPLETED", "COMPLETED"], logs(tmp_path)
    runs = sorted((tmp_path / "runs" / "cofusion").iterdir())
    assert {run.name for run in runs} == {job["JobId"] for job in jobs}
    for run in runs:
        check_same_training(run, whole)
        results = json.loads((run / "results.json").read_text())
        assert results["scenes"] == json.loads((whole / "results.json").read_text())["scenes"]
        assert results["epochs_done"] == EPOCHS


def test_jobs_of_one_name_without_a_run_directory_choose_two(cluster, tmp_path):
    command = f"srun cofusion fit {' '.join(map(repr, QUICK))}"
    numbers = [cluster.submit("--wrap", command, cwd=tmp_path) for _ in range(2)]
    assert [cluster.finish(number)["JobState"] for number in numbers] == ["COMPLETED"] * 2, logs(tmp_path)
    runs = sorted((tmp_path / "runs" / "quickstart").iterdir())
    assert [run.name for run in runs] == ["fit_0", "fit_1"]
    for run in runs:
        assert json.loads((run / "results.json").read_text())["epochs_done"] == 2
        assert [row["epoch"] for row in rows(run) if row["train/loss"]] == ["0", "1"]


def test_a_job_that_is_requeued_in_mid_epoch_ends_with_the_same_weights(cluster, whole, tmp_path):
    number = cluster.submit(*ONE_NODE, *RUN, *pace(0.3), cwd=tmp_path)
    run = in_mid_epoch(cluster, number, tmp_path)
    assert cluster.run("scontrol", "requeue", number).returncode == 0
    assert cluster.finish(number)["JobState"] == "COMPLETED", logs(tmp_path)
    assert cluster.job(number)["Restarts"] == "1"
    assert logs(tmp_path).count("run directory: ") == 2
    check_same_training(run, whole)
    assert rows(run) == rows(whole)


def test_a_cancelled_job_leaves_a_directory_to_go_on_with(cluster, whole, tmp_path):
    number = cluster.submit(*ONE_NODE, *RUN, *pace(0.3), cwd=tmp_path)
    run = in_mid_epoch(cluster, number, tmp_path)
    assert cluster.run("scancel", number).returncode == 0
    assert cluster.finish(number)["JobState"] == "CANCELLED"
    while "COMPLETING" in cluster.run("squeue", "-h", "-o", "%T", "-j", number).stdout:
        time.sleep(0.5)
    assert load(run)["epoch"] < EPOCHS - 1
    with one_thread():
        assert main(["fit", *RUN, "--run_dir", str(run), "--ckpt_path", "last"]) == 0
    check_same_training(run, whole)


def test_two_tasks_train_one_run_and_obey_the_warning_together(cluster, of_two, whole_of_two, tmp_path):
    ddp = "--config=topology/ddp.yaml"
    number = cluster.submit(*TWO_GPUS, *RUN, ddp, *of_two, *pace(0.3), cwd=tmp_path)
    run = in_mid_epoch(cluster, number, tmp_path)
    # What SLURM sends before the time is up, without waiting for that.
    assert cluster.run("scancel", "--signal=SIGUSR1", number).returncode == 0
    assert cluster.finish(number)["JobState"] == "COMPLETED", logs(tmp_path)
    assert cluster.job(number)["Restarts"] == "1"
    assert logs(tmp_path).count("it is queued again and goes on with") == 1
    assert logs(tmp_path).count("2 processes: 4 crops a step; the learning rate is as configured") == 2
    assert list((tmp_path / "runs" / "cofusion").iterdir()) == [run]
    check_same_training(run, whole_of_two)
    assert json.loads((run / "results.json").read_text())["device"].startswith("2 x ")


def test_two_nodes_train_one_run(cluster, of_two, whole_of_two, tmp_path):
    nodes = "--config=topology/several_nodes.yaml"
    number = cluster.submit(*TWO_NODES, *RUN, nodes, *of_two, cwd=tmp_path)
    job = cluster.finish(number)
    assert job["JobState"] == "COMPLETED", logs(tmp_path)
    assert job["NodeList"] == "node[0-1]"
    check_same_training(tmp_path / "runs" / "cofusion" / number, whole_of_two)


def test_a_script_without_srun_is_refused_instead_of_waiting_for_ever(cluster, tmp_path):
    command = f"cofusion fit {' '.join(map(repr, QUICK))} --run_dir run"
    number = cluster.submit("--ntasks-per-node=2", "--wrap", command, cwd=tmp_path)
    assert cluster.finish(number)["JobState"] == "FAILED"
    (line,) = [line for line in logs(tmp_path).splitlines() if line.startswith("cofusion: error: ")]
    assert "this job has 2 tasks" in line
    assert "srun cofusion" in line


def test_a_job_whose_time_is_nearly_over_goes_on_later_and_ends_with_the_same_weights(cluster, whole, warned):
    number, folder = warned
    job = cluster.finish(number)
    assert job["JobState"] == "COMPLETED", logs(folder)
    assert int(job["Restarts"]) >= 1
    log = logs(folder)
    assert log.count("the job's time is nearly over; it is queued again") == int(job["Restarts"])
    run = folder / "runs" / "cofusion" / number
    check_same_training(run, whole)
    assert not list(run.rglob("hpc_ckpt*"))


def in_mid_epoch(cluster: Cluster, number: str, folder: Path) -> Path:
    """Wait until a job is in an epoch after its first, and return its run directory."""
    run = folder / "runs" / "cofusion" / number
    cluster.wait(number, lambda _: (run / "checkpoints" / "last.ckpt").exists(), 120)
    time.sleep(1)
    return run


def logs(folder: Path) -> str:
    """What the jobs that were submitted from a folder have printed."""
    return "\n".join(file.read_text() for file in sorted(folder.glob("*.out")))


def rows(run: Path) -> list[dict[str, str]]:
    found = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    # No two runs take the same time.
    return [{name: value for name, value in row.items() if name != "fit_time_s"} for row in found]
