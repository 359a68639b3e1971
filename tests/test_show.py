"""`cofusion data show`: a picture of what a config makes of a scene."""

import numpy as np
import pytest
from PIL import Image

from cofusion.cli import main
from cofusion.data import Window
from cofusion.reports.data_figure import data_figure
from cofusion.scenes import Synthetic
from cofusion.sensors import Sensors, SpectralResponse


def show(*args):
    return main(["data", "show", *args])


def test_picture_is_written(tmp_path, capsys):
    path = tmp_path / "deep" / "scene.png"
    assert show("--config", "quickstart.yaml", "--scene", "synthetic_1", "-o", str(path)) == 0
    assert str(path) in capsys.readouterr().out
    picture = np.asarray(Image.open(path).convert("L"))
    assert picture.shape[0] > 500
    assert picture.std() > 20


def test_default_is_the_first_test_scene_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert show("--config", "quickstart.yaml") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["synthetic_synthetic_3_x4.png"]


def test_nothing_is_left_where_the_scene_does_not_exist(tmp_path, capsys):
    assert show("--config", "quickstart.yaml", "--scene", "nowhere", "-o", str(tmp_path / "a.png")) == 1
    assert "no scene nowhere; it has: synthetic_0" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_missing_files_are_named(tmp_path, capsys):
    assert show("--config", "pavia_u_x4.yaml", "--data.root", str(tmp_path)) == 1
    assert "Pavia University: no file for pavia_u" in capsys.readouterr().err


def test_wrong_flags_are_usage_errors(capsys):
    assert show("--config", "quickstart.yaml", "--data.scales", "3") == 2
    assert "scales" in capsys.readouterr().err


@pytest.mark.parametrize("preset", ["paper", "wald"])
@pytest.mark.parametrize("scale", [2, 3, 8])
def test_figure_shows_split_response_and_sampling(preset, scale):
    scene = Synthetic(bands=12, size=50).read("synthetic_0")
    response = SpectralResponse.gaussian([500, 800], [90, 90], scene.wavelengths, ["one", "two"])
    sensors = Sensors.preset(preset, scale, response)
    lr_hsi, hr_msi = sensors.degrade(scene.cube)
    windows = {
        "train": [Window((0, 24), (0, 48))],
        "test": [Window((24, 48), (0, 24)), Window((24, 48), (24, 48))],
    }
    figure = data_figure(
        scene.cube, lr_hsi, hr_msi, sensors, windows, wavelengths=scene.wavelengths, title="a scene"
    )
    scene_axes, _, _, curves, psf, _ = figure.axes
    boxes = [(box.get_x(), box.get_y(), box.get_width(), box.get_height()) for box in scene_axes.patches]
    assert boxes == [(-0.5, -0.5, 48, 24), (-0.5, 23.5, 24, 24), (23.5, 23.5, 24, 24)]
    assert [text.get_text() for text in scene_axes.get_legend().get_texts()] == ["train", "test"]
    for line, weights in zip(curves.lines, response.weights, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), weights)
        np.testing.assert_array_equal(line.get_xdata(), scene.wavelengths)
    # A sample sits at the middle of the PSF that is drawn for it.
    left, right, bottom, top = psf.images[0].get_extent()
    assert ((left + right) / 2, (bottom + top) / 2) == (sensors.phase, sensors.phase)
    dots = set(psf.lines[-1].get_xdata())
    assert sensors.phase in dots
    assert sensors.phase + scale in dots


def test_figure_without_wavelengths_counts_bands():
    cube = np.random.default_rng(0).random((5, 16, 16), dtype=np.float32)
    sensors = Sensors.preset("paper", 2, SpectralResponse.pick([0, 4], 5))
    figure = data_figure(cube, cube[:, ::2, ::2], cube[[0, 4]], sensors, {})
    assert figure.axes[3].get_xlabel() == "band"
    assert not figure.axes[0].patches
