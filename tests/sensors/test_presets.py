"""Every preset against what its source does, written out: pad, weigh every window, keep pixels."""

import itertools
import math
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from cofusion.errors import UserError
from cofusion.sensors import PRESETS, Border, GaussianPSF, Noise, Preset, Satellite, Sensors, SpectralResponse


def gaussian(size, sigma):
    at = np.arange(size) - (size - 1) / 2
    taps = np.exp(-(at[:, None] ** 2 + at**2) / (2 * sigma**2))
    return taps / taps.sum()


def imfilter(image, kernel, border):
    """MATLAB's imfilter: the window's origin is its element floor((size + 1) / 2), counted from 1."""
    size = len(kernel)
    before = (size + 1) // 2 - 1
    padded = np.pad(image, (before, size - 1 - before), mode=border)
    out = np.zeros_like(image)
    for row, col in np.ndindex(image.shape):
        out[row, col] = (padded[row : row + size, col : col + size] * kernel).sum()
    return out


def gaussian_blur(image, size, sigma):
    """OpenCV's GaussianBlur with its default border, reflect101, which numpy calls reflect."""
    return imfilter(image, gaussian(size, sigma), "reflect")


def resize(image, scale):
    """OpenCV's bilinear resize: output `i` lies at `(i + 0.5) * scale - 0.5` of the source."""
    rows, cols = (size // scale for size in image.shape)
    out = np.zeros((rows, cols))
    for i, j in np.ndindex(rows, cols):
        y, x = (i + 0.5) * scale - 0.5, (j + 0.5) * scale - 0.5
        top, left = math.floor(y), math.floor(x)
        for row, col in itertools.product((top, top + 1), (left, left + 1)):
            weight = (1 - abs(y - row)) * (1 - abs(x - col))
            if weight:
                out[i, j] += weight * image[row, col]
    return out


def block_means(image, scale):
    rows, cols = (size // scale for size in image.shape)
    blocks = [
        [image[i * scale : (i + 1) * scale, j * scale : (j + 1) * scale].mean() for j in range(cols)]
        for i in range(rows)
    ]
    return np.array(blocks)


def starck_murtagh(image):
    """HySure: the kernel in the middle of an image of its own, multiplied in the Fourier domain."""
    rows, cols = image.shape
    # MATLAB rounds halves up and counts from 1.
    row, col = math.floor((rows + 1) / 2 + 0.5) - 1, math.floor((cols + 1) / 2 + 0.5) - 1
    kernel = np.zeros_like(image)
    kernel[row - 2 : row + 3, col - 2 : col + 3] = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    spectrum = np.fft.fft2(np.fft.ifftshift(kernel))
    return np.fft.ifft2(np.fft.fft2(image) * spectrum).real


def keep(image, scale, first):
    return image[first::scale, first::scale]


LITERAL = {
    "paper": lambda x, s: keep(imfilter(x, gaussian(3, 0.5), "reflect"), s, 0),
    "3dt": lambda x, s: keep(imfilter(x, gaussian(8, 2), "constant"), s, int(s / 2)),
    "ssrnet": lambda x, s: resize(gaussian_blur(x, 5, 2), s),
    "lgct": lambda x, s: resize(gaussian_blur(x, 7, 2), s),
    "hypertransformer": lambda x, s: keep(
        imfilter(x, gaussian(8, (1 / (2 * 2.7725887 / s**2)) ** 0.5), "wrap"), s, 0
    ),
    "hysure": lambda x, s: keep(starck_murtagh(x), s, 1),
    "hiftool": lambda x, s: keep(gaussian_blur(x, 2 * s + 1, 0.666 * s), s, s // 2),
    "supres": block_means,
}


def sensors(preset, scale, **replaced):
    return Sensors.preset(preset, scale, SpectralResponse.pick([0], 2), **replaced)


@pytest.mark.parametrize("scale", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("preset", LITERAL)
def test_preset_does_what_its_source_does(preset, scale):
    rows, cols = 5 * scale, 4 * scale
    cube = np.random.default_rng(0).random((2, rows + 1, cols + scale - 1))
    lr_hsi = sensors(preset, scale).lr_hsi(torch.from_numpy(cube))
    expected = [LITERAL[preset](plane[:rows, :cols], scale) for plane in cube]
    # The constants of HyperTransformer have eight digits.
    np.testing.assert_allclose(lr_hsi.numpy(), expected, rtol=1e-7 if preset == "hypertransformer" else 1e-10)


def test_every_preset_has_a_reference_a_source_and_taps_that_sum_to_one():
    # `wald` has its literal reference in test_simulate.py.
    assert set(get_args(Preset)) == set(PRESETS) == {*LITERAL, "wald"}
    for name, row in PRESETS.items():
        assert len(row.source) > 20
        for scale in (2, 3, 4, 8):
            psf = sensors(name, scale).psf
            assert psf.sum().item() == pytest.approx(1, abs=1e-12)
            torch.testing.assert_close(psf, psf.T)
            torch.testing.assert_close(psf, psf.flip(0))


def test_only_hysure_brings_noise():
    noisy = {name for name in PRESETS if sensors(name, 4).noise != Noise()}
    assert noisy == {"hysure"}
    assert sensors("hysure", 4, noise_seed=3).noise == Noise(30.0, 40.0, 3)
    assert sensors("hysure", 4, hsi_snr=math.inf, msi_snr=20).noise == Noise(math.inf, 20)


def test_parts_of_a_preset_can_be_replaced():
    replaced = sensors("paper", 4, psf=GaussianPSF(fwhm=4), phase=1.5, border="symmetric")
    wald = sensors("wald", 4)
    assert torch.equal(replaced.psf, wald.psf)
    assert (replaced.phase, replaced.border) == (1.5, "symmetric")
    # A Gaussian takes an odd or even number of taps as the phase wants it.
    for phase in (0.0, 0.5, 2.0, 3.5):
        assert sensors("paper", 4, psf=GaussianPSF(sigma=1.3), phase=phase).psf.shape[0] % 2 == (
            phase % 1 == 0
        )
    with pytest.raises(UserError, match=r"phase 0\.0 does not fit a PSF of size 4"):
        sensors("paper", 4, psf=GaussianPSF(sigma=1, size=4))
    with pytest.raises(UserError, match="unknown border 'mirror'; choose one of: reflect, symmetric"):
        sensors("paper", 4, border="mirror").lr_hsi(torch.rand(2, 16, 16))


def test_the_manual_lists_every_preset_and_satellite():
    manual = (Path(__file__).parents[2] / "data/README.md").read_text()
    for name in (*get_args(Preset), *get_args(Satellite), *get_args(Border)):
        assert f"`{name}`" in manual
