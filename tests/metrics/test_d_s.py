"""D_s against loops over windows, pairs of bands and pixels, the degraded guide included."""

import pytest
import torch

from cofusion.errors import UserError
from cofusion.metrics import DS, QNR, d_lambda, d_s, qnr
from cofusion.metrics.d_s import matched_bands
from quality import loop_d_s, loop_degrade, make_images, make_sensors


@pytest.mark.parametrize("pairs", ["matched", "all"])
@pytest.mark.parametrize(
    "scale, rows, cols, window, low, size, first",
    [
        (2, 9, 7, 8, (4, 4), 3, 1),
        (2, 6, 6, 8, (4, 4), 4, 0),
        (3, 5, 3, 32, (5, 3), 7, 2),
        (4, 2, 2, 8, (2, 2), 9, 0),
    ],
)
def test_equals_loops(pairs, scale, rows, cols, window, low, size, first):
    sensors = make_sensors(scale, size, first)
    images = make_images(scale, rows, cols)
    found = d_s(*images, sensors, pairs, window)
    assert found.dtype == torch.float64
    for value, *one in zip(found, *images, strict=True):
        fused, lr_hsi, hr_msi = (image.double().numpy() for image in one)
        lr_msi = loop_degrade(hr_msi, sensors.psf.numpy(), scale, first)
        expected = loop_d_s(fused, lr_hsi, hr_msi, lr_msi, scale, low, pairs)
        assert value.item() == pytest.approx(expected, abs=1e-12)


def test_the_two_conventions_differ_unless_there_is_one_multispectral_band():
    fused, lr_hsi, hr_msi = make_images()
    sensors = make_sensors()
    assert (d_s(fused, lr_hsi, hr_msi, sensors) != d_s(fused, lr_hsi, hr_msi, sensors, "all")).all()
    one = hr_msi[:, :1]
    assert torch.equal(d_s(fused, lr_hsi, one, sensors), d_s(fused, lr_hsi, one, sensors, "all"))


def test_bands_are_matched_by_correlation_at_low_resolution():
    lr_msi = torch.rand(3, 6, 6, generator=torch.Generator().manual_seed(0))
    lr_hsi = torch.stack([5 + 0.1 * lr_msi[2], 0.2 * lr_msi[0], -lr_msi[1], lr_msi[1] + 0.1 * lr_msi[0]])
    found = matched_bands(lr_hsi, lr_msi).tolist()
    assert found[:2] == [2, 0] and found[2] != 1 and found[3] == 1


def test_bands_that_have_no_correlation_get_the_first():
    lr_msi = torch.rand(3, 6, 6, generator=torch.Generator().manual_seed(0))
    assert matched_bands(torch.full((2, 6, 6), 0.3), lr_msi).tolist() == [0, 0]
    assert matched_bands(lr_msi[:2], torch.full((3, 6, 6), 0.3)).tolist() == [0, 0]
    # A flat multispectral band is never the match of one that another is like.
    lr_msi[0] = 0.3
    assert matched_bands(lr_msi[1:], lr_msi).tolist() == [1, 2]


def test_no_detail_is_no_distortion_and_bands_in_another_order_are():
    lr_msi = torch.rand(3, 9, 7, generator=torch.Generator().manual_seed(0))
    hr_msi = lr_msi.repeat_interleave(2, 1).repeat_interleave(2, 2)
    order, sensors = [2, 0, 1, 0], make_sensors(size=1, first=0)
    for pairs in ("matched", "all"):
        assert d_s(hr_msi[order], lr_msi[order], hr_msi, sensors, pairs).item() == pytest.approx(0, abs=1e-12)
    # What a band is compared with is decided without the fused image.
    assert d_s(hr_msi[order].roll(1, 0), lr_msi[order], hr_msi, sensors).item() > 0.5


def test_qnr_is_the_product_of_what_is_left():
    images = make_images()
    for pairs in ("matched", "all"):
        found = qnr(*images, make_sensors(), pairs, 8)
        spectral, spatial = d_lambda(*images[:2], 8), d_s(*images, make_sensors(), pairs, 8)
        expected = [(1 - a) * (1 - b) for a, b in zip(spectral.tolist(), spatial.tolist(), strict=True)]
        assert found.tolist() == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("kind, function", [(DS, d_s), (QNR, qnr)])
def test_the_classes_pass_pairs_and_window_on(kind, function):
    images, sensors = make_images(), make_sensors()
    metric = kind(sensors, pairs="all", window=4)
    metric.update(*images)
    torch.testing.assert_close(metric.compute(), function(*images, sensors, "all", 4).mean())


def test_unknown_pairs_are_refused():
    with pytest.raises(UserError, match="pairs 'some': give 'matched' or 'all'"):
        d_s(*make_images(), make_sensors(), "some")
