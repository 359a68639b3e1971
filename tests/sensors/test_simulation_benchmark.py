"""The script that measures the simulation, at toy size."""

import importlib
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
simulation = importlib.import_module("simulation")


def run(monkeypatch, *args):
    monkeypatch.setattr(sys, "argv", ["simulation", "--size", "64", "--turns", "3", "--threads", "1", *args])
    simulation.main()


def test_ratios_are_printed_per_preset(monkeypatch, capsys):
    run(monkeypatch, "--presets", "paper", "hysure")
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == "31 x 64 x 64 at x4, 1 threads, cpu"
    assert [line.split(":")[0].strip() for line in lines] == ["paper", "hysure"]


def test_check_fails_above_the_limit_and_names_the_preset(monkeypatch):
    monkeypatch.setattr(simulation, "LIMIT", 1e6)
    run(monkeypatch, "--check")
    monkeypatch.setattr(simulation, "LIMIT", 0.0)
    with pytest.raises(SystemExit, match="FAILED: the simulation takes more than 0 clones with wald"):
        run(monkeypatch, "--check", "--presets", "wald")


def test_ratios_are_medians_of_what_the_jobs_take(monkeypatch):
    ticks = {"first": 6, "half": 3}
    now = [0]
    monkeypatch.setattr(simulation.time, "perf_counter", lambda: now[0])
    jobs = {name: lambda n=n: now.__setitem__(0, now[0] + n) for name, n in ticks.items()}
    ratios = simulation.median_ratios(jobs, 3, simulation.torch.device("cpu"))
    assert ratios == {"half": 2.0}
