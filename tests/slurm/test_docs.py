"""The page about clusters: its commands, word for word, on a real SLURM."""

import re
import shlex
import subprocess
import time
from pathlib import Path

import pytest

import scene_files
from cofusion.resources import resource_dir
from command import SMALL_NET, SMALL_RUN
from pace import pace
from slurm.cluster import Cluster

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
# What is added makes the runs small, and lets them do without GPUs.
SMALL = [*SMALL_RUN, *SMALL_NET]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder to submit from, with the configs and the scenes in DIR."""
    (tmp_path / "configs").symlink_to(resource_dir("configs"))
    scene_files.write_pavia_u(tmp_path / "DIR" / "pavia_u")
    scene_files.write_cave(tmp_path / "DIR" / "cave")
    # Two processes need two regions each to validate and to test.
    scene_files.write_split(
        tmp_path / "two.yaml",
        "cave",
        train=[{"scene": "beads"}],
        validation=[{"scene": "face", "rows": [0, 32]}, {"scene": "face", "rows": [32, 64]}],
        test=[{"scene": "balloons"}, {"scene": "feathers"}],
    )
    return tmp_path


def commands(beginning: str) -> list[list[str]]:
    """Return the page's commands that begin with these words, split into words."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.startswith(beginning)]


def test_from_the_page_to_table_3(cluster: Cluster, checkout: Path):
    cluster.env["WANDB_MODE"] = "disabled"
    (submit,) = (words for words in commands("cofusion sweep run sweep/ablation") if "--retries" in words)
    small = [*SMALL, "--trainer.max_epochs=1", "--data.split=DIR/pavia_u/split.yaml"]
    done = said(cluster, [*submit, *small], checkout)
    job = re.search(r"submitted 12 of 12 trials as job (\d+)", done)[1]
    assert job in said(cluster, *commands("squeue"), checkout)
    for index in range(12):
        assert cluster.finish(f"{job}_{index}", 600)["JobState"] == "COMPLETED", logs(checkout)
    assert "12 complete" in said(cluster, *commands("cofusion sweep status sweep/ablation"), checkout)
    table = said(cluster, *commands("cofusion sweep table sweep/ablation"), checkout)
    for row in ("w/o SpaCAM", "w/o SpeCAM", "w/o SSCFM", "Full Model"):
        assert row in table
    assert (checkout / "runs/ablation/table.png").read_bytes().startswith(b"\x89PNG")


def test_slurm_takes_the_job_of_a_sweep_on_several_gpus(cluster: Cluster, checkout: Path):
    (submit,) = (words for words in commands("cofusion sweep run sweep/ablation") if "nodes=2" in words)
    place = submit.index("--")
    script = checkout / "job.sh"
    script.write_text(said(cluster, [*submit[:place], "--dry_run", *submit[place:]], checkout))
    (checkout / "runs" / "ablation" / "slurm").mkdir(parents=True)
    done = cluster.run("sbatch", "--test-only", str(script), cwd=checkout)
    assert done.returncode == 0, done.stderr
    assert "using 2 nodes" in done.stderr or "node[0-1]" in done.stderr


def test_the_batch_scripts_as_the_page_calls_them(cluster: Cluster, checkout: Path):
    one, two_gpus, two_nodes, again = commands("sbatch")
    (cancel,) = commands("scancel")
    small = [*SMALL, "--trainer.accelerator=cpu", "--data.split=two.yaml"]

    numbers = {}
    for words in (one, two_gpus, two_nodes):
        slow = [*pace(0.5), "--trainer.max_epochs=9"] if words is one else []
        numbers[words[1]] = submit(cluster, [*words, *small, *slow], checkout)
    first = numbers.pop(one[1])
    run = checkout / "runs" / "cofusion" / first
    cluster.wait(first, lambda _: (run / "checkpoints" / "last.ckpt").exists(), 240)
    assert cluster.run(cancel[0], first).returncode == 0
    assert cluster.finish(first)["JobState"] == "CANCELLED"
    while "COMPLETING" in cluster.run("squeue", "-h", "-o", "%T", "-j", first).stdout:
        time.sleep(0.5)

    assert f"runs/cofusion/{cancel[1]}" in again
    goes_on = [word.replace(cancel[1], first) for word in again]
    number = submit(cluster, [*goes_on, *small, *pace(0), "--trainer.max_epochs=9"], checkout)
    for each in (*numbers.values(), number):
        assert cluster.finish(each)["JobState"] == "COMPLETED", logs(checkout)
    runs = {path.name for path in (checkout / "runs" / "cofusion").iterdir()}
    assert runs == {first, *numbers.values()}
    assert all((checkout / "runs" / "cofusion" / name / "results.json").is_file() for name in runs)


def submit(cluster: Cluster, words: list[str], folder: Path) -> str:
    # One thread for each process, whatever the script asks for: the machine is small.
    assert words[0] == "sbatch"
    return cluster.submit("--cpus-per-task=1", *words[1:], cwd=folder)


def said(cluster: Cluster, words: list[str], folder: Path) -> str:
    """Run a command and return what it prints."""
    done = subprocess.run(
        words, cwd=folder, env=cluster.env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def logs(folder: Path) -> str:
    """What the jobs have printed."""
    return "\n".join(path.read_text() for path in sorted(folder.rglob("*.out")))
