import math

import numpy as np
import pytest
import torch

from cofusion.errors import UserError
from cofusion.sensors import blur, gaussian_psf
from cofusion.sensors.psf import filter_strided

BORDERS = ("reflect", "symmetric", "replicate", "circular", "constant")


def beyond(index, size, border):
    """Where a border rule finds the value of an index outside the image; None for zero."""
    if 0 <= index < size:
        return index
    if border == "reflect":
        return -index if index < 0 else 2 * (size - 1) - index
    if border == "symmetric":
        return -index - 1 if index < 0 else 2 * size - 1 - index
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
@pytest.mark.parametrize("shape", [(3, 3), (4, 4), (1, 5), (2, 3), (7, 5)])
@pytest.mark.parametrize("factors", [False, True])
def test_blur_equals_the_literal_loop(border, shape, factors):
    random = np.random.default_rng(0)
    # A PSF without any symmetry tells taps, rows and columns apart.
    image = random.random((2, 3, 7, 6))
    psf = random.random(shape) if not factors else np.outer(*(random.random(size) for size in shape))
    blurred = blur(torch.from_numpy(image), torch.from_numpy(psf), border)
    expected = [[literal_blur(plane, psf, border) for plane in cube] for cube in image]
    np.testing.assert_allclose(blurred.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("start", [(0, 0), (2, 1), (-1, -1)])
@pytest.mark.parametrize("factors", [False, True])
def test_strided_filter_keeps_its_rows_of_the_blurred_image(border, start, factors):
    random = np.random.default_rng(0)
    psf, image = random.random((5, 5)), random.random((9, 12))
    if factors:
        psf = np.outer(psf[0], psf[1])
    kept = filter_strided(torch.from_numpy(image), torch.from_numpy(psf), border, start, 3)
    # The start may lie before the image: blur one that goes on as the border says.
    rows, cols = (
        [i if 0 <= i < size else beyond(i, size, border) for i in range(-4, size + 4)] for size in image.shape
    )
    wide = np.array([[0 if None in (r, c) else image[r, c] for c in cols] for r in rows])
    blurred = literal_blur(wide, psf, "constant")[4 + start[0] :: 3, 4 + start[1] :: 3][:3, :4]
    np.testing.assert_allclose(kept.numpy(), blurred, rtol=1e-12)


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
    with pytest.raises(UserError, match="side of 4 pixels is too small for a PSF reaching 4 pixels"):
        blur(torch.rand(5, 4), psf)
    assert blur(torch.rand(5, 4), psf, "circular").shape == (5, 4)
    with pytest.raises(UserError, match="too small"):
        blur(torch.rand(5, 3), psf, "circular")
    assert blur(torch.rand(5, 4), psf, "symmetric").shape == (5, 4)
    with pytest.raises(UserError, match="too small"):
        blur(torch.rand(5, 3), psf, "symmetric")
    for border in ("replicate", "constant"):
        assert blur(torch.rand(5, 2), psf, border).shape == (5, 2)


def test_an_unknown_border_lists_the_known_ones():
    with pytest.raises(
        UserError, match="unknown border 'zero'; choose one of: reflect, symmetric, replicate"
    ):
        blur(torch.rand(5, 5), gaussian_psf(3, 1.0), "zero")
