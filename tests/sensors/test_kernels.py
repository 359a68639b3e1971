import math

import numpy as np
import pytest
import rasterio
import torch

from cofusion.errors import UserError
from cofusion.sensors import GaussianPSF, MeasuredPSF, gaussian_psf, sigma_from_fwhm, sigma_from_mtf


def profile(psf):
    """The PSF summed along each axis, at positions counted from its centre."""
    at = torch.arange(psf.shape[0], dtype=torch.float64) - (psf.shape[0] - 1) / 2
    return at, psf.sum(1), psf.sum(0)


def deviation(at, taps):
    return ((taps * at**2).sum() - (taps * at).sum() ** 2).sqrt().item()


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("gain", [0.1, 0.25, 0.35])
@pytest.mark.parametrize("phase", [0.0, 0.5])
def test_mtf_is_what_is_left_of_a_wave_at_nyquist(scale, gain, phase):
    at, down, right = profile(GaussianPSF(mtf=gain)(scale, phase))
    wave = torch.cos(2 * math.pi * at / (2 * scale))
    for taps in (down, right):
        assert (taps * wave).sum().item() == pytest.approx(gain, abs=2e-4)


@pytest.mark.parametrize("fwhm", [3.0, 8.0])
def test_fwhm_is_where_half_of_the_peak_is_left(fwhm):
    sigma = sigma_from_fwhm(fwhm)
    assert math.exp(-0.5 * (fwhm / 2 / sigma) ** 2) == pytest.approx(0.5, abs=1e-12)
    at, down, _ = profile(GaussianPSF(fwhm=fwhm)(4, 0.0))
    assert deviation(at, down) == pytest.approx(sigma, rel=1e-3)


def test_two_widths_lie_along_their_axes():
    psf = GaussianPSF(sigma=[3.0, 1.5])(4, 0.0)
    at, down, right = profile(psf)
    assert deviation(at, down) == pytest.approx(3.0, rel=1e-3)
    assert deviation(at, right) == pytest.approx(1.5, rel=1e-3)
    # A quarter turn exchanges the axes.
    torch.testing.assert_close(GaussianPSF(sigma=[3.0, 1.5], angle=90)(4, 0.0), psf.T)


@pytest.mark.parametrize("angle", [30.0, -45.0, 100.0])
def test_angle_turns_the_long_axis_from_down_to_the_right(angle):
    psf = GaussianPSF(sigma=[3.0, 1.5], angle=angle)(4, 0.5)
    at = profile(psf)[0]
    rows, cols = torch.meshgrid(at, at, indexing="ij")
    places = torch.stack([rows, cols]).flatten(1)
    covariance = (places * psf.flatten()) @ places.T
    values, vectors = torch.linalg.eigh(covariance)
    assert values.sqrt().tolist() == pytest.approx([1.5, 3.0], rel=1e-3)
    down, right = vectors[:, 1].tolist()
    assert math.degrees(math.atan(right / down)) % 180 == pytest.approx(angle % 180, abs=0.01)


@pytest.mark.parametrize(("phase", "odd"), [(0.0, True), (2.0, True), (1.5, False)])
def test_window_fits_the_phase_and_leaves_out_little(phase, odd):
    psf = GaussianPSF(sigma=1.7)(4, phase)
    assert psf.shape[0] % 2 == odd
    assert psf.shape[0] - 2 < 8 * 1.7 <= psf.shape[0]
    assert GaussianPSF(sigma=1.7, size=5)(4, 0.0).shape == (5, 5)


def test_description_names_what_was_given():
    assert GaussianPSF(sigma=1.5).describe() == "gaussian, sigma 1.5"
    turned = GaussianPSF(mtf=[0.3, 0.2], angle=10)
    assert turned.describe() == "gaussian, mtf 0.3 down, 0.2 right, turned 10 deg"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "one of sigma, fwhm and mtf; given: none"),
        ({"sigma": 1.0, "mtf": 0.3}, "given: sigma, mtf"),
        ({"sigma": 0.0}, "sigma"),
        ({"sigma": math.inf}, "sigma"),
        ({"sigma": [1.0, -1.0]}, "sigma > 0"),
        ({"sigma": [1.0, 1.0, 1.0]}, "one number or two"),
        ({"fwhm": -2.0}, "above 0 pixels, not -2"),
        ({"mtf": 1.0}, "between 0 and 1, not 1.0"),
        ({"mtf": 0.0}, "between 0 and 1"),
        ({"sigma": 1.0, "size": 0}, "size >= 1"),
        ({"sigma": 1.0, "angle": math.nan}, "angle nan"),
        ({"sigma": 1e-3, "size": 4}, "no tap"),
    ],
)
def test_widths_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(UserError, match=message) as error:
        GaussianPSF(**arguments)
    assert "\n" not in str(error.value)


def test_mtf_of_a_narrower_sensor_is_higher():
    assert sigma_from_mtf(0.35, 4) < sigma_from_mtf(0.1, 4) == 2 * sigma_from_mtf(0.1, 2)


def write(path, taps):
    if path.suffix == ".npy":
        np.save(path, taps)
    elif path.suffix == ".csv":
        np.savetxt(path, taps, delimiter=",")
    else:
        rows, cols = taps.shape
        profile = {"driver": "GTiff", "width": cols, "height": rows, "count": 1, "dtype": "float64"}
        with rasterio.open(path, "w", **profile) as file:
            file.write(taps, 1)
    return MeasuredPSF(str(path))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("suffix", [".npy", ".csv", ".tif", ".TIFF"])
def test_a_measured_kernel_is_read_and_normalised(tmp_path, suffix):
    taps = np.random.default_rng(0).random((5, 5)) - 0.05
    path = tmp_path / f"kernel{suffix}"
    if suffix == ".TIFF":
        write(path.with_suffix(".tif"), taps)
        path.with_suffix(".tif").rename(path)
        psf = MeasuredPSF(str(path))
    else:
        psf = write(path, taps)
    np.testing.assert_allclose(psf(4, 0.0).numpy(), taps / taps.sum(), rtol=1e-12)
    assert psf.total == pytest.approx(taps.sum())
    assert psf.describe() == f"{path.name}, divided by its sum {taps.sum():g}"


@pytest.mark.parametrize(
    ("taps", "message"),
    [
        (np.ones((3, 4)), "3 x 4 values"),
        (np.ones(9), "9 values"),
        (np.ones((3, 3, 3)), "3 x 3 x 3 values"),
        (np.array(1.0), "one values"),
        (np.zeros((3, 3)), "sum 0"),
        (-np.ones((3, 3)), "sum -9"),
        (np.full((3, 3), np.nan), "sum nan"),
        (np.array([[1.0, np.inf], [0.0, 0.0]]), "sum inf"),
        (np.ones((0, 0)), "0 x 0 values"),
        (np.array([["a"]]), "cannot be read as a PSF"),
        (np.array([[None]]), "cannot be read as a PSF"),
    ],
)
def test_a_kernel_that_is_none_is_refused(tmp_path, taps, message):
    with pytest.raises(UserError, match=message) as error:
        write(tmp_path / "kernel.npy", taps)
    assert "kernel.npy" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".tif"])
@pytest.mark.parametrize("content", [b"", b"1,2\n3\n", b"\x93NUMPY\x01\x00", bytes(range(256))])
def test_a_damaged_file_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"kernel{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"kernel{suffix}") as error:
        MeasuredPSF(str(path))
    assert "\n" not in str(error.value)


def test_a_missing_or_unknown_file_says_what_is_expected(tmp_path):
    (tmp_path / "kernel.txt").write_text("1")
    for name in ("kernel.txt", "missing.npy"):
        with pytest.raises(UserError, match=rf"{name} is no PSF file; give an existing one .+ \.npy, \.csv"):
            MeasuredPSF(str(tmp_path / name))


def test_gaussian_with_two_widths_equals_the_product_of_two():
    taps = gaussian_psf(4, (0.7, 2.0))
    at = np.arange(4) - 1.5
    expected = np.exp(-0.5 * (at / 0.7) ** 2)[:, None] * np.exp(-0.5 * (at / 2.0) ** 2)
    np.testing.assert_allclose(taps.numpy(), expected / expected.sum(), rtol=1e-12)
