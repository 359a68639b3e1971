"""PSNR against a loop over single values."""

import math

import numpy as np
import pytest
import torch

from cofusion.errors import UserError
from cofusion.metrics import PSNR, psnr


def loop_psnr(fused, reference, peak):
    total, count = 0.0, 0
    for f, r in zip(fused.flat, reference.flat, strict=True):
        total += (float(f) - float(r)) ** 2
        count += 1
    return 10 * math.log10(peak**2 / (total / count))


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    reference = rng.uniform(0, 0.8, (3, 5, 9, 7)).astype(np.float32)
    # Errors differ between the bands, so that a mean over bands of PSNRs would not pass for a global MSE.
    noise = rng.normal(0, 1, reference.shape) * np.array([0.001, 0.01, 0.03, 0.1, 0.2])[:, None, None]
    return (reference + noise).astype(np.float32), reference


@pytest.mark.parametrize("peak", [1.0, 255.0, "max"])
def test_equals_a_loop(pair, peak):
    fused, reference = pair
    result = psnr(torch.from_numpy(fused), torch.from_numpy(reference), peak)
    assert result.dtype == torch.float64
    for value, f, r in zip(result, fused, reference, strict=True):
        top = float(r.max()) if peak == "max" else peak
        assert value.item() == pytest.approx(loop_psnr(f, r, top), abs=1e-9)


def test_a_constant_error_of_a_tenth_is_20_db():
    reference = torch.full((4, 6, 6), 0.5, dtype=torch.float64)
    assert psnr(reference + 0.1, reference).item() == pytest.approx(20)
    assert psnr(reference - 0.1, reference, peak="max").item() == pytest.approx(20 * math.log10(5))


def test_peak_max_ignores_the_scale_of_the_data(pair):
    fused, reference = map(torch.from_numpy, pair)
    torch.testing.assert_close(psnr(4 * fused, 4 * reference, "max"), psnr(fused, reference, "max"))


@pytest.mark.parametrize("peak", [1.0, 100.0, "max"])
def test_identical_images_stop_at_160_db(peak):
    reference = torch.rand(2, 3, 8, 8)
    assert psnr(reference, reference.clone(), peak).tolist() == pytest.approx([160, 160])


def test_a_zero_reference_has_peak_1():
    zero = torch.zeros(3, 4, 4)
    assert psnr(zero, zero, "max").item() == pytest.approx(160)
    assert psnr(zero + 0.1, zero, "max").item() == pytest.approx(20)


def test_the_mean_is_over_images_not_over_pooled_errors():
    reference = torch.zeros(2, 3, 8, 8, dtype=torch.float64)
    fused = reference + torch.tensor([0.1, 0.001]).view(2, 1, 1, 1)
    metric = PSNR()
    metric.update(fused, reference)
    assert metric.compute().item() == pytest.approx((20 + 60) / 2, abs=1e-5)


def test_the_class_passes_its_peak_on(pair):
    fused, reference = map(torch.from_numpy, pair)
    metric = PSNR(peak="max")
    metric.update(fused, reference)
    torch.testing.assert_close(metric.compute(), psnr(fused, reference, "max").mean())


@pytest.mark.parametrize("peak", [0.0, -1.0, float("nan"), "maximum"])
def test_an_impossible_peak_is_refused(peak):
    with pytest.raises(UserError, match=r"peak is .*: give a positive number"):
        psnr(torch.ones(1, 2, 2), torch.ones(1, 2, 2), peak)
