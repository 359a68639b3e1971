"""docs/fuse.md: its code and commands run as printed, and its numbers are those of the recorded results."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import rasterio

from cofusion.cli import main

DOCS = Path(__file__).parents[1] / "docs"
SCENES = Path(__file__).parents[2] / "shared" / "data" / "scenes"
HOUSTON = SCENES / "houston2018_pair_hsi128x128x48_rgb512.mat"
TEXT = (DOCS / "fuse.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def commands():
    lines = "".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("cofusion")]


def test_the_pair_is_made_and_fused_as_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for code in blocks("python"):
        exec(compile(code, "docs/fuse.md", "exec"), {})
    (bicubic,) = [args for args in commands() if args[-1] == "bicubic.tif"]
    assert main(bicubic) == 0
    with rasterio.open("bicubic.tif") as fused, rasterio.open("hr_msi.tif") as hr_msi:
        assert fused.transform == hr_msi.transform and fused.crs == hr_msi.crs
        assert fused.shape == hr_msi.shape and fused.count == 200


@pytest.mark.parametrize(
    "args", [args for args in commands() if args[0] == "fuse"], ids=lambda args: args[-1]
)
def test_every_command_has_arguments_that_are_understood(args, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    # The files are not there: that is the first thing that can be wrong.
    assert main(args) == 1
    said = capfd.readouterr().err
    assert "there is no file" in said or "there are no weights" in said


def test_the_config_on_the_page_is_understood(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (text,) = blocks("yaml")
    Path("houston.yaml").write_text(text)
    assert main(["fit", "--config=houston.yaml", "--print_config"]) == 0
    printed = capfd.readouterr().out
    assert "hr_msi_key: rgbImg" in printed and "hr_msi: 0.1" in printed


@pytest.mark.slow
@pytest.mark.skipif(not HOUSTON.is_file(), reason=f"the real pair is not on this machine: {HOUSTON}")
def test_the_houston_pair_is_trained_and_fused_as_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("houston.yaml").write_text(blocks("yaml")[0])
    Path("pair.mat").symlink_to(HOUSTON)
    # A part of the page's steps, which take twice as long.
    assert main(["fit", "--config=houston.yaml", "--trainer.max_epochs=16", "--run_dir=run"]) == 0
    results = json.loads(Path("run/results.json").read_text())
    ours, bicubic = results["mean"], results["baselines"]["bicubic"]["mean"]
    assert ours["qnr"] > bicubic["qnr"] + 0.02
    assert ours["lr_hsi_error"] < 0.6 * bicubic["lr_hsi_error"]
    (houston,) = [args for args in commands() if args[-1] == "houston.tif"]
    method = houston.index("--method")
    assert main([*houston[:method], "--ckpt", "run", *houston[method + 2 :]]) == 0
    with rasterio.open("houston.tif") as fused:
        assert (fused.count, fused.shape) == (48, (512, 512))
        holes = np.isnan(fused.read(1))
    assert 0 < holes.mean() < 0.2
    assert "QNR" in Path("houston.md").read_text()


def test_options_that_the_text_names_exist(capfd):
    main(["fuse", "--help"])
    known = capfd.readouterr().out
    named = set(re.findall(r"`(--[a-z-]+)(?![\w.-])", TEXT)) - {"--rows"}
    assert len(named) > 10
    assert not [option for option in named if option not in known]


def test_the_table_of_seams_is_the_recorded_one():
    for row in json.loads((DOCS / "results" / "fuse_seams.json").read_text())["rows"]:
        assert f"| {' | '.join(map(str, row.values()))} |" in TEXT


def test_the_table_of_memory_and_time_is_the_recorded_one():
    record = json.loads((DOCS / "results" / "fuse_cpu.json").read_text())
    rows = re.findall(r"^\| (\d+) x (\d+) \| ([\d.]+) GB \| ([\d.]+) % \|$", TEXT, re.M)
    assert [(int(r), int(c)) for r, c, *_ in rows] == [(s["rows"], s["cols"]) for s in record["sizes"]]
    for (_, _, memory, share), size in zip(rows, record["sizes"], strict=True):
        assert float(memory) == pytest.approx(size["memory (bytes)"] / 1e9, abs=0.006)
        assert float(share) == pytest.approx(100 * size["network share"], abs=0.06)
        assert size["memory (bytes)"] < 2e9
    assert record["sizes"][-1]["network share"] >= 0.9
