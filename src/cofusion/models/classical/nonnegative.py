"""Nonnegative least squares for many small problems at once."""

import torch
from torch import Tensor

# Steps that may fail to lower the number of infeasible variables before they are exchanged one by one.
_PATIENCE = 3
# Infeasibility below this part of a problem's own size is rounding.
_ROUNDING = 1e-12


def nonnegative_least_squares(gram: Tensor, right: Tensor) -> Tensor:
    """Minimise `xᵀ G x / 2 - rᵀ x` over `x >= 0`.

    Block principal pivoting (Kim and Park, "Fast nonnegative matrix factorization: an active-set-like method
    and comparisons", SIAM Journal on Scientific Computing 33(6), 2011): guess which variables are free and
    which zero, solve for the free ones, move those on the wrong side; exact after finitely many steps.

    Args:
        gram: `(..., n, n)` float64, symmetric positive definite.
        right: `(..., n)` float64.

    Returns:
        `(..., n)` float64.
    """
    n = right.shape[-1]
    grams, rights = gram.reshape(-1, n, n), right.reshape(-1, n)
    solution = torch.zeros_like(rights)
    left = torch.arange(len(rights), device=right.device)
    x, slope = torch.zeros_like(rights), -rights
    free = torch.zeros_like(rights, dtype=torch.bool)
    fewest = torch.full_like(left, n + 1)
    patience = torch.full_like(left, _PATIENCE)
    # Finite in exact arithmetic; rounding could still make it go round in circles.
    for _ in range(100 + 10 * n):
        wrong = torch.where(free, x < -_ROUNDING * _size(x), slope < -_ROUNDING * _size(rights))
        count = wrong.sum(-1)
        solution[left] = x
        going = count > 0
        if not bool(going.any()):
            break
        grams, rights, left, free, wrong, count, fewest, patience = (
            state[going] for state in (grams, rights, left, free, wrong, count, fewest, patience)
        )
        patience = torch.where(count < fewest, _PATIENCE, patience - 1)
        fewest = torch.minimum(fewest, count)
        free = free ^ torch.where((patience >= 0)[:, None], wrong, _last(wrong))
        x = _solve(grams, rights, free)
        slope = (grams @ x[..., None])[..., 0] - rights
    return solution.clamp(min=0).view(right.shape)


def _size(vectors: Tensor) -> Tensor:
    return vectors.abs().amax(-1, keepdim=True)


def _last(wrong: Tensor) -> Tensor:
    """Keep only the last true entry of every row."""
    place = wrong * torch.arange(1, wrong.shape[-1] + 1, device=wrong.device)
    return wrong & (place == _size(place))


def _solve(grams: Tensor, rights: Tensor, free: Tensor) -> Tensor:
    """Solve for the free variables, gathered into matrices as small as the largest set; others are zero."""
    size = int(free.sum(-1).max())
    used, chosen = free.to(grams).topk(size)
    columns = grams.gather(1, chosen[..., None].expand(-1, -1, grams.shape[-1]))
    small = columns.gather(2, chosen[:, None].expand(-1, size, -1))
    small = small * used[..., None] * used[:, None] + torch.diag_embed(1 - used)
    right = rights.gather(1, chosen) * used
    found = torch.cholesky_solve(right[..., None], torch.linalg.cholesky(small))[..., 0]
    return torch.zeros_like(rights).scatter(1, chosen, found)
