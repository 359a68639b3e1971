"""A sweep that really trains, cut with SIGKILL in the middle, gives the table of one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from cofusion.cli import main
from command import QUICK
from pace import pace

VARIANTS = ["full", "no_spacam", "no_specam", "no_sscfm"]


def write(name: str, *more: str) -> str:
    """Write the sweep of the four variants, two seeds each, on the quickstart's scenes; with more flags."""
    file = {
        "method": "grid",
        "parameters": {
            "seed_everything": {"values": [1, 2]},
            "model.net.variant": {"values": VARIANTS},
        },
        "command": ["cofusion", "fit", *QUICK, "--trainer.max_epochs=8", *more, "${args}"],
    }
    Path(f"{name}.yaml").write_text(yaml.safe_dump(file))
    return f"{name}.yaml"


def kill_in_the_middle(file: str, runs: Path) -> None:
    """Start a sweep, and kill its launcher and its trials when one is complete and another one has begun."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cofusion", "sweep", "run", file, "--jobs", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while not (unfinished := halfway(runs)):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    for pid in unfinished:
        os.kill(pid, signal.SIGKILL)
    time.sleep(1)


def halfway(runs: Path) -> list[int]:
    """The processes of the trials that run, once one trial is complete and another one in mid-training."""
    records = {path.parent: json.loads(path.read_text()) for path in runs.glob("*/trial.json")}
    running = [run for run, record in records.items() if record["attempts"][-1]["outcome"] is None]
    training = [run for run in running if not (run / "results.json").exists()]
    if len(running) == len(records) or not any((run / "checkpoints/last.ckpt").exists() for run in training):
        return []
    commands = {
        int(path.parent.name): path.read_bytes().decode(errors="replace").split("\0")
        for path in Path("/proc").glob("[0-9]*/cmdline")
    }
    wanted = {f"--run_dir={run.resolve()}" for run in running}
    return [pid for pid, command in commands.items() if wanted & set(command)]


def table(name: str, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    capsys.readouterr()
    assert main(["sweep", "table", f"{name}.yaml", "--format", "csv"]) == 0
    # The latency at the end is measured, so it differs.
    return [line.split(",")[:18] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_gives_the_same_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    # Slow enough to be met in the middle.
    file = write("killed", *pace(0.2))
    kill_in_the_middle(file, Path("runs/killed"))
    assert main(["sweep", "run", file, "--jobs", "2"]) == 0
    attempts = [
        [attempt["outcome"] for attempt in json.loads(path.read_text())["attempts"]]
        for path in Path("runs/killed").glob("*/trial.json")
    ]
    assert len(attempts) == 8
    assert ["cut", "complete"] in attempts and ["complete"] in attempts
    assert main(["sweep", "run", write("whole"), "--jobs", "2"]) == 0
    killed, whole = table("killed", capsys), table("whole", capsys)
    assert killed == whole
    assert [row[0] for row in whole[1:]] == ["w/o SpaCAM", "w/o SpeCAM", "w/o SSCFM", "Full Model"]
