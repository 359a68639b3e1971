"""The script that measures the methods, at toy size."""

import importlib
import json
import sys

import pytest

from cofusion.models.classical.cnmf import CNMF
from models.classical_iterative.literally import literal
from models.classical_iterative.scenes import full_rank_scene, response

classical = importlib.import_module("classical")


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(classical, "literal", literal)
    monkeypatch.setattr(classical, "scenes", lambda args: [("small", full_rank_scene()[0], response())])
    monkeypatch.setattr(classical, "SIZES", {"small": (31, 32, 24)})


def run(monkeypatch, *args):
    monkeypatch.setattr(sys, "argv", ["classical", *map(str, args)])
    classical.main()


def test_every_method_is_found_with_its_defaults():
    found = classical.methods()
    assert {"FUSE", "HySure", "CNMF", "TV", "SupResPALM", "FUSE (no prior)"} <= set(found)
    assert "ClassicalMethod" not in found
    assert found["CNMF"].rounds == CNMF().rounds


def test_quality_is_recorded_and_not_repeated(small, monkeypatch, tmp_path, capsys):
    out = tmp_path / "classical.json"
    run(monkeypatch, "--out", out, "--scale", 2, "--only", "bicubic", "FUSE")
    first = json.loads(out.read_text())["quality"]
    assert [(row["preset"], row["method"]) for row in first] == [
        (preset, method) for preset in ("wald", "paper") for method in ("bicubic", "FUSE")
    ]
    assert first[1]["psnr"] > first[0]["psnr"] + 3
    assert all(row["seconds"] > 0 <= row["gb"] for row in first)
    run(monkeypatch, "--out", out, "--scale", 2, "--only", "bicubic", "FUSE", "HySure")
    second = json.loads(out.read_text())["quality"]
    assert second[: len(first)] == first
    assert [row["method"] for row in second[len(first) :]] == ["HySure", "HySure"]
    capsys.readouterr()
    run(monkeypatch, "--out", out, "--table")
    assert capsys.readouterr().out.startswith("| scene | preset | scale | method | psnr")


def test_speed_over_the_literal_versions_is_recorded(small, monkeypatch, tmp_path):
    out = tmp_path / "classical.json"
    monkeypatch.setattr(classical, "LIMIT", 0.0)
    run(monkeypatch, "--out", out, "--speed", "--check")
    rows = json.loads(out.read_text())["speed"]
    assert [row["method"] for row in rows] == ["HySure", "TV", "CNMF", "SupResPALM"]
    monkeypatch.setattr(classical, "LIMIT", 1e9)
    with pytest.raises(SystemExit, match="below 1e\\+09 times"):
        run(monkeypatch, "--out", out, "--speed", "--check")
