"""Nonnegative least squares against SciPy."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from cofusion.models.classical.nonnegative import nonnegative_least_squares


@pytest.mark.parametrize("unknowns", [1, 2, 7, 40])
@pytest.mark.parametrize("common", [0.0, 3.0], ids=["independent", "alike"])
def test_is_the_solution_of_scipy(unknowns, common):
    """Columns that are alike need many exchanges."""
    rng = np.random.default_rng(unknowns)
    rows = rng.standard_normal((2, unknowns + 5, unknowns)) + common
    right = rng.standard_normal((2, 10, unknowns + 5)) + common
    gram, dual = np.einsum("bmi,bmj->bij", rows, rows), np.einsum("bmi,bpm->bpi", rows, right)
    found = nonnegative_least_squares(
        torch.from_numpy(gram)[:, None].expand(-1, 10, -1, -1), torch.from_numpy(dual)
    )
    expected = [[nnls(rows[b], right[b, p])[0] for p in range(10)] for b in range(2)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-8, atol=1e-9)


def test_nothing_to_fit():
    assert not nonnegative_least_squares(torch.eye(3).double(), torch.zeros(3).double()).any()
