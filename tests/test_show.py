"""`cofusion data show`: a picture of what a config makes of a scene."""

import numpy as np
import pytest
from PIL import Image

from cofusion.cli import main
from cofusion.data import FusionDataModule, Window
from cofusion.reports.figures.data_figure import data_figure
from cofusion.scenes import Files, Synthetic
from cofusion.sensors import GaussianResponse, Sensors, SpectralResponse
from cofusion.show import show as show_data


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


@pytest.mark.parametrize("name", ["a.jpg", "a"])
def test_the_picture_is_a_png_file(name, tmp_path, capsys):
    assert show("--config", "quickstart.yaml", "-o", str(tmp_path / name)) == 1
    assert f"--output is a .png file, not {tmp_path / name}" in capsys.readouterr().err


def test_a_real_pair_is_looked_at_otherwise(capsys):
    assert show("--config", "own_scene.yaml", "--data.lr_hsi", "a.tif", "--data.hr_msi", "b.tif") == 1
    assert "not a real pair; `cofusion fuse` writes a picture" in capsys.readouterr().err


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


def test_pictures_show_like_bands_where_the_msi_has_no_infrared():
    wavelengths = np.linspace(400, 1000, 61)
    cube = np.random.default_rng(0).random((61, 16, 16), dtype=np.float32)
    response = SpectralResponse.gaussian([480, 560, 660], [60, 60, 60], wavelengths, ["b", "g", "r"])
    sensors = Sensors.preset("paper", 2, response)
    figure = data_figure(cube, cube[:, ::2, ::2], cube[:3], sensors, {}, wavelengths=wavelengths)
    shown = [axes.get_xlabel().splitlines()[1] for axes in figure.axes[:3]]
    assert shown == ["R 660, G 560, B 480 nm"] * 3


def test_single_msi_band_is_grey_and_the_scene_keeps_its_colours():
    wavelengths = np.linspace(400, 1000, 61)
    cube = np.random.default_rng(0).random((61, 16, 16), dtype=np.float32)
    response = SpectralResponse.gaussian([600], [90], wavelengths)
    sensors = Sensors.preset("paper", 2, response)
    figure = data_figure(cube, cube[:, ::2, ::2], cube[:1], sensors, {}, wavelengths=wavelengths)
    shown = [axes.get_xlabel() for axes in figure.axes[:3]]
    assert shown[0] == "16 x 16, 61 bands\nR 850, G 650, B 550 nm"
    assert shown[2] == "16 x 16, 1 band\ngrey: 600 nm"


def test_clipped_values_are_counted_in_the_heading(tmp_path, monkeypatch):
    cube = np.full((8, 32, 32), 40.0, dtype=np.float32)
    cube[0, :2, :3] = 200
    np.save(tmp_path / "field.npy", cube)
    split = tmp_path / "split.yaml"
    split.write_text(
        "dataset: files\nsource: own\ntrain: [{scene: field}]\n"
        "validation: [{scene: field, rows: [0, 8]}]\ntest: [{scene: field, rows: [8, 32]}]\n"
    )
    headings = []
    monkeypatch.setattr("cofusion.show.save_figure", lambda figure, path: headings.append(figure.texts[1]))
    scenes = Files(tmp_path, ["field.npy"], 100, wavelengths=[450, 900], band_axis=0)
    show_data(
        FusionDataModule(lambda root: scenes, str(split), scale=2, response=GaussianResponse([600], [90])),
        "field",
    )
    assert "values / 100, 6 clipped" in headings[0].get_text()
