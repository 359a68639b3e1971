"""The weights that ship with the project reach, on a real scene, what their record says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import rasterio
import torch

from cofusion import CoFusion, Sensors
from cofusion.cli import main
from cofusion.metrics import psnr
from cofusion.models.pretrained import WEIGHTS, find_pretrained, shipped
from cofusion.scenes import CAVE
from cofusion.sensors import CsvResponse

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
RECORDS = ROOT / "docs" / "results" / "weights"
LARGEST = 25e6
SCENE = "balloons"


@pytest.fixture(scope="module")
def cave(tmp_path_factory) -> CAVE:
    if not SHARED.is_dir():
        pytest.skip("no ../shared here")
    root = tmp_path_factory.mktemp("cave")
    tool = SHARED / "tools" / "unpack_cave.py"
    subprocess.run([sys.executable, tool, root, SCENE], check=True)
    return CAVE(root)


def test_there_are_weights_of_every_scale():
    assert shipped() == ["cave_x2", "cave_x4", "cave_x8"]


@pytest.mark.parametrize("name", shipped())
def test_weights_are_small_and_say_where_they_come_from(name):
    assert (find_pretrained(name) / WEIGHTS).stat().st_size < LARGEST
    net = CoFusion.from_pretrained(name)
    trained = net.provenance
    assert (trained.dataset, trained.split, f"cave_x{trained.scale}") == ("cave", "cave_20_11", name)
    assert trained.scale == net.scale and SCENE not in trained.train_scenes


@pytest.mark.parametrize("name", shipped())
def test_the_guide_has_learned_the_blur_that_it_was_not_told(name):
    net = CoFusion.from_pretrained(name)
    sensor = torch.tensor(net.provenance.psf)
    guide = net.msg.guide
    around = guide.reach - len(sensor) // 2
    told = torch.zeros_like(guide.psf)
    told[around : around + len(sensor), around : around + len(sensor)] = sensor
    # Of the 2 by which two PSFs may differ. The learned ones are a little narrower.
    assert (guide.psf - told).abs().sum() < 0.4


@pytest.mark.parametrize("name", shipped())
def test_weights_reach_the_recorded_psnr(name, cave):
    net = CoFusion.from_pretrained(name)
    sensors = Sensors.preset("paper", net.scale, CsvResponse("nikon_d700")(cave.wavelengths))
    reference = sensors.crop(cave.read(SCENE).cube)[None]
    with torch.inference_mode():
        fused = net(*sensors.degrade(reference)).clamp(0, 1)
    record = json.loads((RECORDS / name / "results.json").read_text(encoding="utf-8"))
    # They were recorded before they were rounded to half precision.
    assert float(psnr(fused, reference)) == pytest.approx(record["scenes"][SCENE]["psnr"], abs=0.02)


def test_a_visible_cube_is_fused_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, bands, size in (("lr_hsi", 31, 16), ("hr_msi", 3, 64)):
        profile = {"width": size, "height": size, "count": bands, "dtype": "float32", "driver": "GTiff"}
        with rasterio.open(f"{name}.tif", "w", **profile) as file:
            file.write(torch.rand(bands, size, size).numpy())
    args = ["fuse", "--lr-hsi", "lr_hsi.tif", "--hr-msi", "hr_msi.tif", "-o", "fused.tif", "--ckpt"]
    scaling = ["--hsi-scaling", "1", "--msi-scaling", "1"]
    assert main([*args, "cave_x4", *scaling]) == 0, capsys.readouterr().err
    with rasterio.open("fused.tif") as fused:
        assert (fused.count, *fused.shape) == (31, 64, 64)
    assert main([*args, "cave_x5"]) == 1
    assert "or the name of shipped weights: cave_x2, cave_x4, cave_x8" in capsys.readouterr().err
