"""Nonnegative least squares against SciPy."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from cofusion.models.classical.nonnegative import nonnegative_least_squares


def _independent(rng, unknowns):
    return rng.standard_normal((unknowns + 5, unknowns))


def _overlapping(rng, unknowns):
    """Broad bumps of either sign: exchanging all infeasible variables at once goes round in circles."""
    place = np.linspace(0, 1, 3 * unknowns)[:, None]
    bumps = np.exp(-0.5 * ((place - rng.random(unknowns)) / (0.05 + 0.3 * rng.random(unknowns))) ** 2)
    return bumps * rng.choice([-1, 1], unknowns) + 1e-3 * rng.standard_normal(bumps.shape)


@pytest.mark.parametrize("unknowns", [1, 2, 10, 20, 40])
@pytest.mark.parametrize("columns", [_independent, _overlapping])
def test_is_the_solution_of_scipy(unknowns, columns):
    rng = np.random.default_rng(0)
    rows = np.stack([columns(rng, unknowns) for _ in range(3)])
    right = rng.standard_normal((3, 20, rows.shape[1])).cumsum(-1)
    gram, dual = np.einsum("bmi,bmj->bij", rows, rows), right @ rows
    found = nonnegative_least_squares(
        torch.from_numpy(gram)[:, None].expand(-1, 20, -1, -1), torch.from_numpy(dual)
    )
    expected = np.array([[nnls(rows[b], right[b, p])[0] for p in range(20)] for b in range(3)])
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-7 * expected.max() + 1e-12)


def test_nothing_to_fit():
    assert not nonnegative_least_squares(torch.eye(3).double(), torch.zeros(3).double()).any()
