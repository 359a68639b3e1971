"""ERGAS against a loop over bands and pixels."""

import math

import numpy as np
import pytest
import torch

from cofusion.errors import UserError
from cofusion.metrics import ERGAS, ergas, ergas_100_4


def loop_ergas(fused, reference, factor):
    ratios = []
    for f, r in zip(fused.astype(np.float64), reference.astype(np.float64), strict=True):
        pixels = r.size
        mean = sum(r.flat) / pixels
        if mean == 0:
            continue
        squares = sum((a - b) ** 2 for a, b in zip(f.flat, r.flat, strict=True)) / pixels
        ratios.append(squares / mean**2)
    return factor * math.sqrt(sum(ratios) / len(ratios))


@pytest.fixture
def pair():
    rng = np.random.default_rng(2)
    level = np.array([0.02, 0.1, 0.4, 0.9])[:, None, None]
    reference = (level * rng.uniform(0.5, 1.1, (2, 4, 8, 10))).astype(np.float32)
    return (reference + rng.normal(0, 0.02, reference.shape)).astype(np.float32), reference


@pytest.mark.parametrize("scale", [2, 4, 8, 3])
def test_equals_a_loop(pair, scale):
    fused, reference = map(torch.from_numpy, pair)
    expected = [loop_ergas(f, r, 100 / scale) for f, r in zip(*pair, strict=True)]
    assert ergas(fused, reference, scale).tolist() == pytest.approx(expected, rel=1e-9)


def test_the_factor_100_4_does_not_know_the_scale(pair):
    fused, reference = map(torch.from_numpy, pair)
    expected = [loop_ergas(f, r, 25) for f, r in zip(*pair, strict=True)]
    assert ergas_100_4(fused, reference).tolist() == pytest.approx(expected, rel=1e-9)
    assert (2 * ergas(fused, reference, 8)).tolist() == pytest.approx(expected, rel=1e-9)


def test_a_relative_error_of_a_hundredth_in_every_band():
    """Every band is off by 1 % of its mean: ERGAS is 100 / scale * 0.01."""
    level = torch.tensor([0.1, 0.4, 0.8], dtype=torch.float64).view(3, 1, 1)
    reference = level.expand(3, 7, 7)
    assert ergas(1.01 * reference, reference, 4).item() == pytest.approx(0.25)
    assert ergas(0.99 * reference, reference, 2).item() == pytest.approx(0.5)


def test_dead_bands_are_left_out(pair):
    fused, reference = pair
    reference[0, 1] = 0
    result = ergas(torch.from_numpy(fused), torch.from_numpy(reference), 4)
    expected = [loop_ergas(f, r, 25) for f, r in zip(*pair, strict=True)]
    assert result.tolist() == pytest.approx(expected, rel=1e-9)
    kept = [0, 2, 3]
    alive = ergas(torch.from_numpy(fused[0, kept]), torch.from_numpy(reference[0, kept]), 4)
    assert result[0].item() == pytest.approx(alive.item(), rel=1e-12)


def test_an_image_of_dead_bands_gives_zero():
    zero = torch.zeros(3, 5, 5)
    assert ergas(zero, zero, 4).item() == 0
    assert ergas(zero + 0.1, zero, 4).item() == 0


def test_identical_images_give_zero(pair):
    reference = torch.from_numpy(pair[1])
    assert ergas(reference, reference.clone(), 4).tolist() == [0, 0]


def test_the_classes_are_means_over_images(pair):
    fused, reference = map(torch.from_numpy, pair)
    at_8, at_100_4 = ERGAS(8), ERGAS(4)
    for metric in (at_8, at_100_4):
        metric.update(fused[0], reference[0])
        metric.update(fused[1:], reference[1:])
    torch.testing.assert_close(at_8.compute(), ergas(fused, reference, 8).mean())
    torch.testing.assert_close(at_100_4.compute(), ergas_100_4(fused, reference).mean())


@pytest.mark.parametrize("scale", [0, -4, float("nan")])
def test_an_impossible_scale_is_refused(scale):
    with pytest.raises(UserError, match="ergas got scale"):
        ergas(torch.ones(1, 2, 2), torch.ones(1, 2, 2), scale)
