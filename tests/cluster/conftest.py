"""A sweep whose trials take no time: the launchers, not the training, are tested with it."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

FAKE = Path(__file__).with_name("fake_cofusion.py")


@pytest.fixture
def interpreter(tmp_path: Path) -> Path:
    """An executable that runs `fake_cofusion.py`."""
    path = tmp_path / "python"
    path.write_text(FAKE.read_text().replace('"""Stands', f'#!{sys.executable}\n"""Stands', 1))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def elsewhere(tmp_path: Path, interpreter: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder, with trials that do not train."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("COFUSION_TRACEBACK", raising=False)
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    return folder


@pytest.fixture
def sweep(elsewhere: Path) -> Callable[..., str]:
    """Write a sweep file with the given values of `mode`, or other parameters; return its name."""

    def write(*modes: str, **changes: object) -> str:
        file = {
            "name": "swept",
            "method": "grid",
            "parameters": {"mode": {"values": list(modes)}},
            "command": ["cofusion", "fit", "--config", "quickstart.yaml", "${args}"],
        }
        (elsewhere / "sweep.yaml").write_text(yaml.safe_dump(file | changes))
        return "sweep.yaml"

    return write


@pytest.fixture
def launch(interpreter: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Start `cofusion sweep ARGS` in a process of its own."""

    def start(*args: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [interpreter, "-m", "cofusion", "sweep", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start
