"""The script that measures the methods, at toy size, and the tables that it makes of its record."""

import importlib
import json
import sys
from pathlib import Path
from typing import get_args

import pytest

from cofusion.inference.classical import make, names
from cofusion.metrics import psnr
from cofusion.models.classical import GSA
from cofusion.models.classical.matching import Match
from cofusion.sensors import Sensors
from models.classical_iterative.literally import literal
from models.classical_iterative.scenes import full_rank_scene, response

classical, matching = map(importlib.import_module, ("classical", "matching"))
DOCS = Path(__file__).parents[3] / "docs"
RECORD = DOCS / "results" / "classical_cpu.json"
PAGE = DOCS / "methods.md"


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(classical, "literal", literal)
    monkeypatch.setattr(classical, "scenes", lambda args: [("balloons", full_rank_scene()[0], response())])
    quiet, noisy = classical.NO_NOISE, (30.0, 40.0)
    cases = (
        ("wald", 2, quiet, None),
        ("wald", 4, noisy, None),
        ("paper", 4, quiet, None),
        ("paper", 4, quiet, 2.0),
    )
    monkeypatch.setattr(classical, "CASES", cases)
    monkeypatch.setattr(classical, "SIZES", {"small": (31, 32, 24)})


def run(monkeypatch, *args):
    monkeypatch.setattr(sys, "argv", ["classical", *map(str, args)])
    classical.main()


def test_quality_is_recorded_and_not_repeated(small, monkeypatch, tmp_path):
    out = tmp_path / "classical.json"
    run(monkeypatch, "--out", out, "--only", "bicubic", "gsa")
    first = json.loads(out.read_text())["quality"]
    assert [(row["preset"], row["scale"], row["snr"][0], row["told"], row["method"]) for row in first] == [
        (*case, method)
        for case in (
            ("wald", 2, None, 0.5),
            ("wald", 4, 30, 1.5),
            ("paper", 4, None, 0.0),
            ("paper", 4, None, 2.0),
        )
        for method in ("bicubic", "gsa")
    ]
    assert all(row["seconds"] >= 0 < row["gb"] for row in first)
    sensors = Sensors.preset("wald", 2, response())
    fused = GSA()(*sensors.degrade(full_rank_scene()), sensors)
    assert first[1]["psnr"] == pytest.approx(float(psnr(fused.clamp(0, 1), full_rank_scene())), abs=1e-3)
    # Told the wrong phase, interpolation is worse.
    assert first[6]["psnr"] < first[4]["psnr"]
    run(monkeypatch, "--out", out, "--only", "bicubic", "gsa", "glp_hs")
    second = json.loads(out.read_text())["quality"]
    assert second[: len(first)] == first
    assert [row["method"] for row in second[len(first) :]] == ["glp_hs"] * 4


def test_a_table_shows_methods_in_their_order_by_scenes_and_what_the_phase_is_worth(
    monkeypatch, tmp_path, capsys
):
    def row(scene, method, psnr, told=0.0):
        numbers = {"psnr": psnr, "sam": 2.0, "ergas": 3.004, "seconds": 1.5, "gb": 0.25}
        case = {"scene": scene, "preset": "paper", "scale": 4, "snr": [None, None], "told": told}
        return case | {"method": method} | numbers

    out = tmp_path / "classical.json"
    quality = [
        row("indian_pines", "newest", 30.0),
        row("indian_pines", "fuse_ml", 40.0),
        row("balloons", "fuse_ml", 41.0, told=2.0),
        row("balloons", "fuse_ml", 42.0),
    ]
    speed = [{"size": "1x1", "method": "TV", "seconds": 0.5, "literal": 4.0, "literal / ours": 8.0}]
    out.write_text(json.dumps({"quality": quality, "speed": speed}))
    run(monkeypatch, "--out", out, "--table")
    printed = capsys.readouterr().out.split("\n\n")
    assert printed[0].splitlines() == [
        "| `paper`, x4 | CAVE balloons | Indian Pines |",
        "| --- | --- | --- |",
        "| FUSE (no prior) | 42.00 / 2.00 / 3.00 | 40.00 / 2.00 / 3.00 |",
        "| newest |  | 30.00 / 2.00 / 3.00 |",
    ]
    assert "| FUSE (no prior) | 42.00, 41.00 | 40.00 |" in printed[1]
    assert printed[-1].splitlines()[-1] == "| TV | 0.50, 4.00: **8.0** |"


def test_the_tables_on_the_page_are_those_of_the_record():
    _, _, quality = PAGE.read_text(encoding="utf-8").partition("## Quality, time and memory")
    found = [line for line in quality.splitlines() if line.startswith("|")]
    assert found == "\n".join(classical.tables(json.loads(RECORD.read_text()))).splitlines()


def test_one_call_brings_the_page_up_to_date(monkeypatch, tmp_path, capsys):
    page = tmp_path / "methods.md"
    page.write_text(PAGE.read_text(encoding="utf-8").replace("| HySure |", "| OldName |"), encoding="utf-8")
    assert page.read_text(encoding="utf-8") != PAGE.read_text(encoding="utf-8")
    run(monkeypatch, "--out", RECORD, "--table", "--page", page)
    assert page.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")


def test_every_method_is_in_the_record():
    rows = json.loads(RECORD.read_text())["quality"]
    cases = {(row["scene"], row["preset"], row["scale"], *row["snr"], row["told"]) for row in rows}
    assert len({scene for scene, *_ in cases}) >= 3
    found = {(preset, scale, (hsi, msi)) for _, preset, scale, hsi, msi, _ in cases}
    assert found == {case[:3] for case in classical.CASES}
    methods = {*names(), *classical.VARIANTS}
    assert {row["method"] for row in rows} == methods
    assert len(rows) == len(cases) * len(methods)


def test_speed_over_the_literal_versions_is_recorded(small, monkeypatch, tmp_path):
    out = tmp_path / "classical.json"
    monkeypatch.setattr(classical, "LIMIT", 0.0)
    run(monkeypatch, "--out", out, "--speed", "--check")
    rows = json.loads(out.read_text())["speed"]
    assert [row["method"] for row in rows] == ["HySure", "LTMR", "TV", "CNMF", "SupResPALM"]
    monkeypatch.setattr(classical, "LIMIT", 1e9)
    with pytest.raises(SystemExit, match="below 1e\\+09 times"):
        run(monkeypatch, "--out", out, "--speed", "--check")


def test_the_default_way_to_match_bands_is_the_best_on_record():
    rows = json.loads((DOCS / "results" / "matching.json").read_text())
    assert len({row["scene"] for row in rows}) >= 3
    assert {row["method"] for row in rows} == set(matching.pansharpening())
    for name in matching.pansharpening():
        own = [row for row in rows if row["method"] == name]
        means = {match: sum(row[match] for row in own) for match in get_args(Match)}
        assert make(name).best_match == max(means, key=means.get), name
    page = (DOCS / "methods" / "pansharpening.md").read_text(encoding="utf-8")
    assert matching.MARK + matching.table(rows) + "\n" in page
    assert matching.into_page(page, matching.table(rows)) == page
