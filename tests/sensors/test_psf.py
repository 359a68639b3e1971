import math

import numpy as np
import pytest
import torch

from cofusion.errors import UserError
from cofusion.sensors import blur, gaussian_psf

BORDERS = ("reflect", "replicate", "circular", "constant")


def beyond(index, size, border):
    """Where a border rule finds the value of an index outside the image; None for zero."""
    if 0 <= index < size:
        return index
    if border == "reflect":
        return -index if index < 0 else 2 * (size - 1) - index
    if border == "replicate":
        return 0 if index < 0 else size - 1
    if border == "circular":
        return index % size
    return None


def literal_blur(image, psf, border):
    """Every tap of every pixel, in plain Python."""
    rows, cols = image.shape
    taps_r, taps_c = psf.shape
    out = np.zeros((rows, cols))
    for row in range(rows):
        for col in range(cols):
            for u in range(taps_r):
                for v in range(taps_c):
                    r = beyond(row + u - (taps_r - 1) // 2, rows, border)
                    c = beyond(col + v - (taps_c - 1) // 2, cols, border)
                    if r is not None and c is not None:
                        out[row, col] += psf[u, v] * image[r, c]
    return out


def test_gaussian_of_the_paper_has_the_published_taps():
    psf = gaussian_psf(3, 0.5)
    side = math.exp(-2.0)
    taps = torch.tensor([side, 1.0, side], dtype=torch.float64) / (1 + 2 * side)
    torch.testing.assert_close(psf, taps[:, None] * taps)
    assert taps.tolist() == pytest.approx([0.1065, 0.7870, 0.1065], abs=5e-5)


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_gaussian_is_centred_and_sums_to_one(size):
    psf = gaussian_psf(size, 1.3)
    position = torch.arange(size, dtype=torch.float64)
    assert psf.sum().item() == pytest.approx(1, abs=1e-12)
    assert (psf.sum(1) * position).sum().item() == pytest.approx((size - 1) / 2, abs=1e-12)
    torch.testing.assert_close(psf, psf.T)
    torch.testing.assert_close(psf, psf.flip(0))


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("shape", [(3, 3), (4, 4), (1, 5), (2, 3)])
def test_blur_equals_the_literal_loop(border, shape):
    random = np.random.default_rng(0)
    # A PSF without any symmetry tells taps, rows and columns apart.
    psf, image = random.random(shape), random.random((2, 3, 7, 6))
    blurred = blur(torch.from_numpy(image), torch.from_numpy(psf), border)
    expected = [[literal_blur(plane, psf, border) for plane in cube] for cube in image]
    np.testing.assert_allclose(blurred.numpy(), expected, rtol=1e-12)


def test_blur_keeps_type_and_mean_level():
    image = torch.full((40, 9, 9), 0.3)
    blurred = blur(image, gaussian_psf(4, 1.0))
    assert blurred.dtype == torch.float32
    torch.testing.assert_close(blurred, image)


@pytest.mark.parametrize(("size", "sigma"), [(0, 1.0), (3, 0.0), (3, -1.0), (3, math.nan)])
def test_gaussian_refuses_senseless_numbers(size, sigma):
    with pytest.raises(UserError, match="size >= 1 and sigma > 0"):
        gaussian_psf(size, sigma)


def test_an_image_too_small_to_reflect_is_refused():
    psf = gaussian_psf(9, 2.0)
    assert blur(torch.rand(5, 5), psf).shape == (5, 5)
    with pytest.raises(UserError, match="5 x 4 pixels is too small for a PSF reaching 4 pixels"):
        blur(torch.rand(5, 4), psf)
    assert blur(torch.rand(5, 4), psf, "circular").shape == (5, 4)
    with pytest.raises(UserError, match="too small"):
        blur(torch.rand(5, 3), psf, "circular")
    assert blur(torch.rand(5, 2), psf, "replicate").shape == (5, 2)
