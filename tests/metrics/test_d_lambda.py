"""D_lambda against loops over windows, pairs of bands and pixels."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cofusion.errors import UserError
from cofusion.metrics import DLambda, d_lambda
from cofusion.metrics.uqi import band_qualities, window_sides
from quality import loop_d_lambda, loop_quality


def make_pair(scale=2, bands=4, rows=9, cols=7, images=2):
    rng = np.random.default_rng(0)
    lr_hsi = rng.uniform(0, 1, (images, bands, rows, cols)).astype(np.float32)
    fused = lr_hsi.repeat(scale, -2).repeat(scale, -1) + rng.normal(0, 0.1, (1, bands, 1, 1))
    fused = fused * rng.uniform(0.5, 1.5, fused.shape)
    return torch.from_numpy(fused.astype(np.float32)), torch.from_numpy(lr_hsi)


# Windows that fill the image, that leave a rest, that are larger than it, and of a scale that does not
# divide them.
@pytest.mark.parametrize(
    "scale, rows, cols, window, low",
    [
        (2, 8, 4, 8, (4, 4)),
        (2, 9, 7, 8, (4, 4)),
        (4, 3, 5, 32, (3, 5)),
        (3, 7, 8, 16, (5, 5)),
        (8, 5, 4, 8, (2, 2)),
        (1, 9, 8, 4, (4, 4)),
    ],
)
def test_equals_loops(scale, rows, cols, window, low):
    fused, lr_hsi = make_pair(scale, rows=rows, cols=cols)
    found = d_lambda(fused, lr_hsi, window)
    assert found.dtype == torch.float64
    for value, f, x in zip(found, fused.double().numpy(), lr_hsi.double().numpy(), strict=True):
        assert value.item() == pytest.approx(loop_d_lambda(f, x, scale, low), abs=1e-12)


def test_many_windows_are_walked_through_in_groups():
    """The loop sees all windows at once, the function a few at a time."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(70, 40, 44, generator=generator), torch.rand(3, 40, 44, generator=generator)
    found = band_qualities(a, b, (8, 8))
    assert found.shape == (70, 3)
    for i, j in ((0, 0), (69, 2)):
        expected = loop_quality(a[i].double().numpy(), b[j].double().numpy(), 8, 8)
        assert found[i, j].item() == pytest.approx(expected, abs=1e-12)


def test_values_far_from_zero_lose_nothing():
    """Variances of 1e-6 on a level of 1: squares minus squared means would drown in float32."""
    fused, lr_hsi = (1 + 1e-3 * image for image in make_pair())
    found = d_lambda(fused, lr_hsi, 8)
    arrays = [image[0].double().numpy() for image in (fused, lr_hsi)]
    assert found[0].item() == pytest.approx(loop_d_lambda(*arrays, 2, (4, 4)), abs=1e-9)


@pytest.mark.parametrize("scale, rows, cols", [(2, 33, 41), (4, 20, 9), (8, 3, 5), (5, 16, 7)])
def test_repeated_pixels_are_no_distortion(scale, rows, cols):
    """Windows cover the same ground: of an image without new detail they hold the same statistics."""
    lr_hsi = torch.rand(3, rows, cols, generator=torch.Generator().manual_seed(0))
    fused = F.interpolate(lr_hsi[None], scale_factor=scale, mode="nearest")[0]
    assert d_lambda(fused, lr_hsi).item() == pytest.approx(0, abs=1e-12)
    assert d_lambda(fused.flip(0), lr_hsi).item() > 1e-3


def test_the_scale_of_the_data_does_not_matter():
    fused, lr_hsi = make_pair()
    torch.testing.assert_close(
        d_lambda(0.2 * fused, 0.2 * lr_hsi), d_lambda(fused, lr_hsi), rtol=1e-5, atol=0
    )


def test_identical_bands_have_quality_1_and_opposite_ones_less():
    band = torch.rand(1, 12, 12, generator=torch.Generator().manual_seed(0))
    assert band_qualities(band, band, (4, 4)).item() == 1
    assert band_qualities(band, 1 - band, (4, 4)).item() < -0.5


@pytest.mark.parametrize("level", [0.0, 1e-3, 0.3, 1.0])
def test_flat_bands_are_alike(level):
    flat = torch.full((2, 12, 12), level)
    noise = 1e-7 * torch.rand(2, 12, 12, generator=torch.Generator().manual_seed(0))
    assert band_qualities(flat, flat, (4, 4)).flatten().tolist() == [1] * 4
    found = band_qualities(flat + noise, flat + noise, (4, 4))
    assert found.flatten().tolist() == pytest.approx([1] * 4, abs=1e-3)


def test_a_single_band_has_no_pairs():
    assert d_lambda(torch.rand(1, 8, 8), torch.rand(1, 4, 4)).item() == 0


def test_windows_shrink_with_the_image_and_the_scale():
    assert window_sides((100, 100), 1) == (32, 32)
    assert window_sides((100, 100), 4) == (8, 8)
    assert window_sides((100, 3), 4) == (8, 3)
    assert window_sides((100, 100), 5) == (6, 6)
    assert window_sides((100, 100), 64) == (2, 2)


def test_the_class_passes_its_window_on():
    fused, lr_hsi = make_pair()
    metric = DLambda(window=4)
    metric.update(fused, lr_hsi=lr_hsi)
    torch.testing.assert_close(metric.compute(), d_lambda(fused, lr_hsi, 4).mean())
    assert metric.compute() != d_lambda(fused, lr_hsi, 8).mean()


@pytest.mark.parametrize("window", [1, 0, -4])
def test_an_impossible_window_is_refused(window):
    with pytest.raises(UserError, match=r"window is .*: give the side of a window in pixels, 2 or more"):
        d_lambda(torch.rand(2, 8, 8), torch.rand(2, 4, 4), window)
