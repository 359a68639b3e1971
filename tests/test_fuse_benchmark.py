"""The benchmark of whole-scene fusion, at toy size."""

import importlib
import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
fuse = importlib.import_module("fuse")


def test_memory_and_time_of_one_size_are_measured(tmp_path, monkeypatch, capsys):
    args = ["--one", "--folder", tmp_path, "--rows", 70, "--cols", 90, "--bands", 6, "--dim", 8]
    monkeypatch.setattr(sys, "argv", ["fuse", *map(str, [*args, "--tile", 32, "--threads", 1])])
    fuse.main()
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["cols"]) == (64, 88)
    assert found["memory (bytes)"] >= 0 and 0 < found["network share"] < 1
    assert found["product (bytes)"] == (tmp_path / "fused.tif").stat().st_size


def test_the_line_through_the_sizes_is_recorded(tmp_path, monkeypatch, capsys):
    # A program that needs 1000 bytes per row.
    def of_size(args, rows):
        return {"rows": rows, "cols": 10, "memory (bytes)": 5000 + 1000 * rows, "network share": 0.95}

    monkeypatch.setattr(fuse, "in_process", of_size)
    out = tmp_path / "fuse.json"
    monkeypatch.setattr(sys, "argv", ["fuse", "--rows", "10", "20", "40", "--out", str(out)])
    fuse.main()
    record = json.loads(out.read_text())
    assert record["bytes of memory per row"] == 1000
    assert "5120 bytes" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--check"])
    with pytest.raises(SystemExit, match="expected a flat line"):
        fuse.main()
