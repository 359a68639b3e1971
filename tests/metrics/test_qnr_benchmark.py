"""The script that measures quality without a reference, at toy size."""

import importlib
import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
benchmark = importlib.import_module("qnr")


def run(monkeypatch, *args):
    sizes = ["--image", "4", "16", "16", "--scene", "4", "35", "32", "--turns", "1"]
    monkeypatch.setattr(sys, "argv", ["qnr", "--bands", "3", "5", *sizes, *map(str, args)])
    monkeypatch.setattr(benchmark, "SIDE", 64)
    benchmark.main()


def test_seconds_and_memory_are_recorded(monkeypatch, tmp_path, capsys):
    run(monkeypatch, "--out", tmp_path / "qnr.json")
    found = json.loads((tmp_path / "qnr.json").read_text())
    assert [row["bands"] for row in found["d_lambda"]] == [3, 5]
    for row in found["d_lambda"]:
        assert row["ratio"] == pytest.approx(row["torchmetrics_seconds"] / row["seconds"])
    assert found["test"]["network_seconds"] > 0 and found["test"]["no_reference_seconds"] > 0
    # 4 bands and 3 of the guide at full size, 4 at an eighth: the image is cut to whole blocks.
    assert found["scene"]["images_gb"] == pytest.approx(4 * (7 * 32 * 32 + 4 * 4 * 4) / 1e9)
    assert found["scene"]["extra_gb"] < 0.1
    assert capsys.readouterr().out.count("without a reference") == 2


def test_check_fails_below_the_limit_and_names_the_bands(monkeypatch):
    none = {"seconds": 1.0}
    monkeypatch.setattr(
        benchmark, "beside_torchmetrics", lambda bands, turns: {"bands": bands, "ratio": 7.0 * bands}
    )
    monkeypatch.setattr(benchmark, "beside_network", lambda size, turns: none)
    monkeypatch.setattr(benchmark, "at_full_size", lambda size, threads: none)
    with pytest.raises(SystemExit, match=r"FAILED: less than 30 times as fast as torchmetrics at 3 bands"):
        monkeypatch.setattr(benchmark, "LIMIT", 30.0)
        run(monkeypatch, "--check")
    monkeypatch.setattr(benchmark, "LIMIT", 20.0)
    run(monkeypatch, "--check")
