import warnings

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from PIL import Image

from cofusion.metrics import psnr, sam
from cofusion.reports import fusion_figure, save_figure
from cofusion.reports.figures.fusion_figure import spectral_angles


def cubes(bands=8, rows=48, cols=64, msi_bands=3, scale=4):
    """A smooth scene with its two images, a noisy estimate and a bicubic stand-in."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:rows, :cols]
    reference = np.stack([0.5 + 0.4 * np.sin(x / 9 + b / 3) * np.cos(y / 7 - b / 5) for b in range(bands)])
    return {
        "lr_hsi": reference[:, ::scale, ::scale],
        "hr_msi": reference[:msi_bands],
        "fused": reference + rng.normal(0, 0.01, reference.shape),
        "reference": reference,
        "bicubic": reference * 0.9,
    }


def panels(figure):
    return {axes.get_title(): axes for axes in figure.axes}


def spectra(figure):
    return [axes for axes in figure.axes if ", col " in axes.get_title()]


def picture(axes):
    return np.asarray(axes.images[0].get_array())


@pytest.fixture
def scene():
    return cubes()


def test_panels_in_reading_order(scene):
    figure = fusion_figure(**scene, method="CoFusion", title="beads")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles[:5] == ["LRHSI", "HRMSI", "Bicubic", "CoFusion", "Reference"]
    assert titles[5:7] == ["SAM error, Bicubic", "SAM error, CoFusion"]
    assert [title[0] for title in titles[7:]] == ["A", "B", "C"]
    assert figure.texts[0].get_text() == "beads"


def test_bands_are_named_in_the_heading(scene):
    figure = fusion_figure(
        **scene, wavelengths=np.linspace(450, 660, 8), msi_wavelengths=np.array([455, 540, 640])
    )
    assert (
        figure.texts[1].get_text() == "False colour R 660, G 540, B 450 nm   ·   HRMSI R 640, G 540, B 455 nm"
    )


def test_all_pictures_have_the_stretch_of_the_reference(scene):
    scene["fused"] = scene["reference"].copy()
    scene["bicubic"] = scene["reference"] * 0.5
    scene["lr_hsi"] = scene["lr_hsi"] * 0.9 + 0.1
    shown = panels(fusion_figure(**scene))
    np.testing.assert_array_equal(picture(shown["Fused"]), picture(shown["Reference"]))
    for end in (0, 1):  # the darkest and the brightest two per cent are cut off
        assert (picture(shown["Reference"]) == end).mean() == pytest.approx(0.02, abs=0.002)
    # A stretch of its own would hide that the picture is half as bright.
    assert picture(shown["Bicubic"]).mean() < 0.5 * picture(shown["Reference"]).mean()


def test_lrhsi_covers_the_same_ground_with_larger_pixels(scene):
    axes = panels(fusion_figure(**scene))["LRHSI"]
    assert picture(axes).shape == (12, 16, 3)
    assert axes.images[0].get_extent() == [-0.5, 63.5, 47.5, -0.5]
    assert axes.images[0].get_interpolation() == "nearest"


def test_scores_are_those_of_the_metrics(scene):
    axes = panels(fusion_figure(**scene))["Fused"]
    fused, reference = torch.from_numpy(scene["fused"]), torch.from_numpy(scene["reference"])
    assert axes.get_xlabel() == f"PSNR {psnr(fused, reference):.2f} dB, SAM {sam(fused, reference):.2f}°"


def test_spectra_are_those_of_the_marked_pixels(scene):
    wavelengths = np.linspace(400, 700, 8)
    figure = fusion_figure(**scene, wavelengths=wavelengths)
    marks = [tuple(line.get_xydata()[0].astype(int)) for line in panels(figure)["HRMSI"].lines]
    assert len(marks) == 3
    for letter, axes, (col, row) in zip("ABC", spectra(figure), marks, strict=True):
        assert axes.get_title() == f"{letter}   row {row}, col {col}"
        lines = {line.get_label(): line for line in axes.lines}
        assert list(lines) == ["Reference", "Bicubic", "Fused"]
        for name, key in {"Reference": "reference", "Bicubic": "bicubic", "Fused": "fused"}.items():
            np.testing.assert_array_equal(lines[name].get_xdata(), wavelengths)
            np.testing.assert_array_equal(lines[name].get_ydata(), scene[key][:, row, col])


def test_spectra_are_broken_where_bands_are_missing(scene):
    wavelengths = np.array([400, 410, 420, 430, 440, 450, 600, 610])
    for axes in spectra(fusion_figure(**scene, wavelengths=wavelengths)):
        for line in axes.lines:
            assert np.flatnonzero(np.isnan(line.get_xdata())).tolist() == [6]
            assert np.flatnonzero(np.isnan(line.get_ydata())).tolist() == [6]


def test_without_reference_spectra_are_compared_with_the_lrhsi(scene):
    del scene["reference"], scene["bicubic"]
    figure = fusion_figure(**scene)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:3] == ["LRHSI", "HRMSI", "Fused"] and not any("SAM" in title for title in titles)
    assert panels(figure)["Fused"].get_xlabel() == "48 x 64, 8 bands"
    (col, row), *_ = [line.get_xydata()[0].astype(int) for line in panels(figure)["HRMSI"].lines]
    line = spectra(figure)[0].lines[0]
    assert line.get_label() == "LRHSI"
    np.testing.assert_array_equal(line.get_ydata(), scene["lr_hsi"][:, row // 4, col // 4])


def test_error_maps_share_one_scale_in_degrees(scene):
    figure = fusion_figure(**scene)
    plain, fused = (panels(figure)[f"SAM error, {name}"].images[0] for name in ("Bicubic", "Fused"))
    assert plain.get_clim() == fused.get_clim()
    assert any(axes.get_xlabel() == "spectral angle to the reference (°)" for axes in figure.axes)


def test_angles_average_to_sam_with_its_rule_for_zero_spectra(scene):
    scene["reference"][:, :10, :10] = 0
    scene["fused"][:, 20:30, 20:30] = 0
    angles = spectral_angles(scene["fused"], scene["reference"])
    assert np.isnan(angles[:10, :10]).all()
    np.testing.assert_allclose(angles[20:30, 20:30], 90)
    expected = sam(torch.from_numpy(scene["fused"]), torch.from_numpy(scene["reference"]))
    assert np.nanmean(angles) == pytest.approx(expected.item(), rel=1e-10)


@pytest.mark.parametrize(
    ("shape", "missing"),
    [
        ({"bands": 1, "msi_bands": 1}, ()),
        ({"bands": 2, "msi_bands": 2}, ("bicubic",)),
        ({"rows": 24, "cols": 160}, ()),
        ({"rows": 24, "cols": 160}, ("reference",)),
        ({"rows": 320, "cols": 64}, ()),
        ({"rows": 320, "cols": 64}, ("reference", "bicubic")),
        ({"rows": 8, "cols": 8}, ()),
        ({"rows": 8, "cols": 8}, ("reference", "bicubic")),
    ],
)
def test_any_shape_gives_a_readable_png(tmp_path, shape, missing):
    given = {key: value for key, value in cubes(**shape).items() if key not in missing}
    given["fused"][:, -1, -1] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_figure(fusion_figure(**given), tmp_path / "figure.png", dpi=40)
    with Image.open(tmp_path / "figure.png") as image:
        width, height = image.size
        pixels = np.asarray(image.convert("L"))
    assert width == pytest.approx(40 * (0.3 + 2.32 * (5 - len(missing)) - 0.12), abs=2)
    assert 0.25 < height / width < 1.6
    assert pixels.std() > 20  # something is drawn


def test_default_resolution(tmp_path, scene):
    save_figure(fusion_figure(**scene), tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.format == "PNG" and image.size[0] > 1600


def test_same_input_makes_the_same_file(tmp_path, scene):
    for name in ("one.png", "two.png"):
        save_figure(fusion_figure(**scene), tmp_path / name, dpi=40)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_tensors_are_taken_as_they_are(scene):
    tensors = {key: torch.from_numpy(value).float() for key, value in scene.items()}
    figure = fusion_figure(**tensors, wavelengths=torch.linspace(400, 700, 8))
    assert "R 657, G 529, B 443 nm" in figure.texts[1].get_text()


def test_state_of_pyplot_stays_as_it_was(scene):
    figures, parameters = pyplot.get_fignums(), dict(matplotlib.rcParams)
    fusion_figure(**scene)
    assert pyplot.get_fignums() == figures and dict(matplotlib.rcParams) == parameters


def test_failed_save_leaves_the_old_picture(tmp_path, scene, monkeypatch):
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")
    figure = fusion_figure(**scene)

    def half(file, **options):
        file.write_bytes(b"ha")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", half)
    with pytest.raises(OSError, match="disk full"):
        save_figure(figure, path)
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1
