"""`cofusion sensors` from outside."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from cofusion.cli import main
from cofusion.sensors import Sensors, SpectralResponse
from cofusion.sensors.files import read_sensors

SCENES = Path(__file__).parents[2] / "shared" / "data" / "scenes"
HOUSTON = SCENES / "houston2018_pair_hsi128x128x48_rgb512.mat"
RESPONSE = SpectralResponse.gaussian([450, 550, 650], [80, 90, 70], torch.linspace(400, 700, 12))
SENSORS = Sensors.preset("wald", 4, RESPONSE)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COFUSION_TRACEBACK", raising=False)
    scene = torch.rand(12, 96, 88, generator=torch.Generator().manual_seed(0))
    lr_hsi, hr_msi = (image.movedim(0, -1).numpy() for image in SENSORS.degrade(scene))
    savemat("pair.mat", {"hsi": lr_hsi, "msi": hr_msi, "odd": hr_msi[:90], "flat": np.ones((96, 88, 3))})
    # The HRMSI's size too, so that the bands alone tell.
    savemat("same.mat", {"hsi": scene.movedim(0, -1).numpy(), "msi": hr_msi})


def estimate(*args, hsi="hsi", msi="msi", file="pair.mat"):
    keys = ["--lr-hsi", file, "--lr-hsi-key", hsi, "--hr-msi", file, "--hr-msi-key", msi]
    return main(["sensors", "estimate", *keys, *args])


def test_estimates_and_writes(capsys):
    assert estimate("-o", "out/sensors.json", "--figure", "out/sensors.png") == 0
    said = capsys.readouterr().out
    assert "LRHSI 24 x 22, 12 bands; HRMSI 96 x 88, 3 bands; scale 4" in said
    assert float(re.search(r"PSF: sigma ([\d.]+)", said)[1]) == pytest.approx(4 / 2.3548, rel=0.01)
    assert re.search(r"phase 1.50, 1.50", said)
    assert len(re.findall(r"^band \d .* %$", said, re.MULTILINE)) == 3
    assert "note:" not in said
    found = read_sensors("out/sensors.json")
    assert (found.response.weights - RESPONSE.weights).norm() < 1e-3 * RESPONSE.weights.norm()
    assert (found.scale, found.phase) == (4, 1.5)
    about = json.loads(Path("out/sensors.json").read_text())["about"]
    assert max(about["residual"]) < 1e-4
    # Each image was divided by its own largest value.
    expected = about["lr_hsi"]["scaling"] / about["hr_msi"]["scaling"]
    assert about["gain"] == pytest.approx([expected] * 3, rel=1e-3)
    with Image.open("out/sensors.png") as picture:
        assert min(picture.size) > 500
    assert sorted(path.name for path in Path("out").iterdir()) == ["sensors.json", "sensors.png"]


def test_a_gaussian_in_place_of_the_taps(capsys):
    assert estimate("--psf", "gaussian", "-o", "s.json") == 0
    psf = read_sensors("s.json").psf
    assert torch.allclose(psf, psf.flip(0), atol=1e-3) and torch.linalg.matrix_rank(psf, atol=1e-9) == 1


def test_images_of_one_size(capsys):
    assert estimate("--figure", "s.png", file="same.mat") == 0
    said = capsys.readouterr().out
    assert "scale 1" in said and "no PSF of decimation" in said
    assert Path("s.png").is_file()
    assert estimate("-o", "s.json", file="same.mat") == 1
    assert "no sensor that decimates" in capsys.readouterr().err
    assert not Path("s.json").exists()


@pytest.mark.parametrize(
    ("args", "keys", "status", "said"),
    [
        ([], {"msi": "odd"}, 1, "no whole ratio of sizes"),
        (["--scale", "3"], {}, 1, "scale 3 does not fit"),
        ([], {"hsi": "msi", "msi": "hsi"}, 1, "are the two swapped?"),
        ([], {"msi": "flat"}, 1, "constant"),
        ([], {"msi": "none"}, 1, "none"),
        (["-o", "sensors.tif"], {}, 2, "--output is a .json file"),
        (["--figure", "sensors"], {}, 2, "--figure is a .png file"),
        (["--psf", "box"], {}, 2, "invalid choice"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line_and_nothing_is_written(capsys, args, keys, status, said):
    before = sorted(Path().iterdir())
    assert estimate("-o", "sensors.json", *args, **keys) == status
    error = capsys.readouterr().err
    assert said in error and error.startswith("cofusion: error: ") and error.count("\n") == 1
    assert sorted(Path().iterdir()) == before


def test_a_damaged_file(capsys):
    whole = Path("pair.mat").read_bytes()
    Path("cut.mat").write_bytes(whole[: len(whole) // 2])
    assert estimate("-o", "sensors.json", file="cut.mat") == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not Path("sensors.json").exists()


@pytest.mark.skipif(not SCENES.is_dir(), reason=f"the real scenes are not on this machine: {SCENES}")
def test_the_houston_pair_is_reported_with_doubts(capsys):
    assert estimate("-o", "sensors.json", hsi="hyprImg", msi="rgbImg", file=str(HOUSTON)) == 0
    said = capsys.readouterr().out
    assert "scale 4" in said and "note: " in said
    used = int(re.search(r"(\d+) of 16384", said)[1])
    # The hole and what lies around it is left out.
    assert 10000 < used < 15000
