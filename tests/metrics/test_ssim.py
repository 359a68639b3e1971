"""SSIM against a loop over windows, torchmetrics and scikit-image."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from cofusion.errors import UserError
from cofusion.metrics import SSIM, ssim


def mirrored(index, size):
    """Reflect an index about the edge pixels: -1 -> 1, size -> size - 2."""
    return abs(index) if index < size else 2 * (size - 1) - index


def window_ssim(x, y, row, col, data_range):
    """Wang et al. 2004, eq. 13 to 16, for the window centred at one pixel."""
    rows, cols = x.shape
    samples = []
    for i in range(-5, 6):
        for j in range(-5, 6):
            at = mirrored(row + i, rows), mirrored(col + j, cols)
            samples.append((math.exp(-(i * i + j * j) / (2 * 1.5**2)), x[at], y[at]))
    total = sum(w for w, _, _ in samples)
    mean_x = sum(w * a for w, a, _ in samples) / total
    mean_y = sum(w * b for w, _, b in samples) / total
    var_x = sum(w * (a - mean_x) ** 2 for w, a, _ in samples) / total
    var_y = sum(w * (b - mean_y) ** 2 for w, _, b in samples) / total
    covariance = sum(w * (a - mean_x) * (b - mean_y) for w, a, b in samples) / total
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance * (2 * covariance + c2) / (var_x + var_y + c2)


def loop_ssim(fused, reference, data_range, margin):
    bands = []
    for x, y in zip(fused.astype(np.float64), reference.astype(np.float64), strict=True):
        rows, cols = x.shape
        centres = [(r, c) for r in range(margin, rows - margin) for c in range(margin, cols - margin)]
        bands.append(sum(window_ssim(x, y, r, c, data_range) for r, c in centres) / len(centres))
    return sum(bands) / len(bands)


def make_pair(*shape):
    rng = np.random.default_rng(3)
    reference = rng.uniform(0, 1, shape)
    reference[..., : shape[-1] // 2] *= 0.1
    fused = reference + rng.normal(0, 0.1, shape)
    return torch.from_numpy(fused), torch.from_numpy(reference)


@pytest.mark.parametrize("border, margin", [("reflect", 0), ("valid", 5)])
@pytest.mark.parametrize("data_range", [1.0, 3.0])
def test_equals_a_loop_over_windows(border, margin, data_range):
    fused, reference = make_pair(2, 3, 13, 12)
    result = ssim(fused, reference, data_range, border)
    expected = [
        loop_ssim(f.numpy(), r.numpy(), data_range, margin) for f, r in zip(fused, reference, strict=True)
    ]
    assert result.tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(2, 5, 6, 6), (3, 31, 24, 40), (1, 7, 130, 70)])
def test_reflect_equals_torchmetrics(shape):
    fused, reference = make_pair(*shape)
    expected = structural_similarity_index_measure(fused, reference, data_range=1.0, reduction="none")
    torch.testing.assert_close(ssim(fused, reference), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(5, 11, 11), (31, 24, 40), (7, 130, 70)])
def test_valid_equals_skimage(shape):
    fused, reference = make_pair(*shape)
    expected = structural_similarity(
        fused.numpy(),
        reference.numpy(),
        data_range=1.0,
        channel_axis=0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(fused, reference, border="valid").item() == pytest.approx(expected, abs=1e-10)


def test_float32_keeps_seven_digits():
    fused, reference = make_pair(1, 8, 64, 64)
    smooth = 0.9 + 1e-3 * reference  # bright and flat: the case in which variances cancel
    for x, y in ((fused, reference), (smooth + 1e-3 * fused, smooth)):
        torch.testing.assert_close(ssim(x.float(), y.float()), ssim(x.float().double(), y.float().double()))


@pytest.mark.parametrize("groups", [1, 5, 70])
def test_grouping_bands_changes_nothing(groups):
    """More bands than are filtered at a time give the mean over all of them."""
    fused, reference = make_pair(groups, 64, 64)
    each = torch.stack([ssim(f[None], r[None]) for f, r in zip(fused, reference, strict=True)])
    torch.testing.assert_close(ssim(fused, reference), each.mean())


@pytest.mark.parametrize("border", ["reflect", "valid"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_identical_images_give_exactly_one(border, dtype):
    image = torch.rand(2, 4, 16, 16).to(dtype)
    image[:, 1] = 0
    image[:, 2] = 0.7
    assert ssim(image, image.clone(), border=border).tolist() == [1, 1]


def test_two_constants_leave_the_luminance_term():
    a, b, c1 = 0.6, 0.2, 1e-4
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    flat = torch.ones(3, 12, 12)
    for border in ("reflect", "valid"):
        assert ssim(a * flat, b * flat, border=border).item() == pytest.approx(expected, abs=1e-5)


def test_symmetry_and_bounds():
    fused, reference = make_pair(2, 4, 20, 20)
    torch.testing.assert_close(ssim(fused, reference), ssim(reference, fused))
    noise = fused - reference
    opposite = ssim(0.5 + noise, 0.5 - noise)
    assert (opposite >= -1).all() and (opposite < -0.8).all()


def test_values_far_outside_the_data_range_stay_in_bounds():
    """A network that diverges: in float32 the rounding errors of its squares exceed C2."""
    torch.manual_seed(0)
    bright = 1000 + 0.001 * torch.rand(4, 64, 64)
    for other in (1.01 * bright, -1.01 * bright, torch.zeros_like(bright)):
        assert ssim(bright, other).abs().item() <= 1


def test_a_dead_band_counts_like_any_other():
    fused, reference = make_pair(3, 20, 20)
    fused[1] = reference[1] = 0
    live = ssim(fused[[0, 2]], reference[[0, 2]])
    torch.testing.assert_close(ssim(fused, reference), (2 * live + 1) / 3)


def test_autocast_does_not_reach_the_windows():
    fused, reference = (image.float() for image in make_pair(2, 5, 32, 32))
    expected = ssim(fused, reference)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ssim(fused, reference), expected)


def test_channels_last_changes_nothing():
    fused, reference = (image.float() for image in make_pair(2, 5, 32, 32))
    last = fused.to(memory_format=torch.channels_last)
    assert torch.equal(ssim(last, reference), ssim(fused, reference))


@pytest.mark.parametrize("border", ["reflect", "valid"])
def test_gradient(border):
    fused, reference = make_pair(1, 2, 11, 12)
    fused.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ssim(x, reference, border=border), fused)


def test_the_class_passes_its_arguments_on():
    fused, reference = make_pair(3, 2, 16, 16)
    metric = SSIM(data_range=2.0, border="valid")
    metric.update(fused[:1], reference[:1])
    metric.update(fused[1:], reference[1:])
    torch.testing.assert_close(metric.compute(), ssim(fused, reference, 2.0, "valid").mean())


@pytest.mark.parametrize("border, smallest", [("reflect", 6), ("valid", 11)])
def test_an_image_too_small_for_the_window_is_refused(border, smallest):
    enough, short = torch.rand(2, smallest, smallest), torch.rand(2, smallest, smallest - 1)
    assert ssim(enough, enough, border=border).item() == 1
    message = f"{smallest}x{smallest - 1} pixels, .*{border}.* needs {smallest}x{smallest} or more"
    with pytest.raises(UserError, match=message):
        ssim(short, short, border=border)


def test_impossible_arguments_are_refused():
    image = torch.rand(1, 12, 12)
    with pytest.raises(UserError, match="border 'same': give 'reflect' or 'valid'"):
        ssim(image, image, border="same")
    with pytest.raises(UserError, match="data_range 0: give a positive number"):
        ssim(image, image, data_range=0)
