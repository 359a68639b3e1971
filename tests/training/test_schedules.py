"""Learning-rate curves."""

import math

import pytest

from cofusion.training import Cosine


@pytest.mark.parametrize(
    ("progress", "factor"),
    [
        (0.05, 0.5),
        (0.1, 1.0),
        (0.55, (1 + 0.2) / 2),
        (1.0, 0.2),
        (1.5, 0.2),
        (0.325, 0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2),
    ],
)
def test_cosine_with_warmup_at_hand_computed_points(progress, factor):
    assert Cosine(warmup=0.1, floor=0.2)(progress) == pytest.approx(factor)


def test_without_warmup_it_starts_at_the_top():
    assert Cosine()(0.0) == 1.0
    assert Cosine()(1.0) == pytest.approx(0.0, abs=1e-12)


def test_the_first_step_of_a_warmup_moves_weights():
    assert 0 < Cosine(warmup=0.5)(0.0) < 0.01


@pytest.mark.parametrize("arguments", [{"warmup": 1.0}, {"warmup": -0.1}, {"floor": 1.1}, {"floor": -0.1}])
def test_values_outside_the_range_are_refused(arguments):
    with pytest.raises(ValueError, match="must lie in"):
        Cosine(**arguments)
