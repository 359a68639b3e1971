"""What the methods know of their images before they sharpen: float64 statistics of the low-resolution pair.

The formulas of the literature take means, variances and covariances of interpolated images. Here they are
those of the low-resolution samples that the interpolated images repeat: the same numbers but for the
interpolation's own smoothing, from `scale²` times fewer pixels.
"""

import math

import torch
from torch import Tensor

from cofusion.errors import UserError

# A band that varies by less than this part of its size is constant: float32 rounds to 6e-8 of it.
_FLAT = 1e-6


def centred(image: Tensor) -> tuple[Tensor, Tensor]:
    """Subtract every band's mean.

    Args:
        image: `(B, bands, h, w)`.

    Returns:
        `(B, bands, h * w)` float64 with mean zero, constant bands exactly zero; and the means
        `(B, bands, 1)`.
    """
    pixels = image.flatten(2).double()
    mean = pixels.mean(-1, keepdim=True)
    deviations = pixels - mean
    flat = _power(deviations) <= _FLAT**2 * _power(pixels)
    return deviations.masked_fill(flat, 0.0), mean


def covariance(a: Tensor, b: Tensor) -> Tensor:
    """Return the covariances `(B, m, n)` of centred images `(B, m, pixels)` and `(B, n, pixels)`."""
    return a @ b.mT / a.shape[-1]


def deviation(a: Tensor) -> Tensor:
    """Return the standard deviations `(B, m, 1)` of centred images `(B, m, pixels)`."""
    return _power(a).sqrt()


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide; 0 where the denominator is 0."""
    return torch.where(denominator == 0, 0.0, numerator / denominator.where(denominator != 0, 1.0))


def ridge_solve(gram: Tensor, right: Tensor, level: Tensor) -> Tensor:
    """Return `(G + level · I)⁻¹ r` for symmetric positive semidefinite matrices.

    Args:
        gram: `(B, ..., n, n)`.
        right: `(B, ..., n, k)`.
        level: See `ridge_level`: what keeps more unknowns than equations, or equal ones, solvable.
    """
    levels = level.view(-1, *(1 for _ in gram.shape[1:])) * torch.eye(gram.shape[-1]).to(gram)
    return torch.cholesky_solve(right, torch.linalg.cholesky(gram + levels))


def regression(a: Tensor, on: Tensor) -> Tensor:
    """Return the slopes `cov(a, on) / var(on)` of centred images, `(B, m, 1)`."""
    return ratio((a * on).mean(-1, keepdim=True), _power(on))


def positive_ridge(ridge: float) -> float:
    """Return the ridge, or raise `UserError` unless it is above 0."""
    if not 0 < ridge < math.inf:
        raise UserError(f"the ridge of a regression must be above 0, not {ridge}; try 1e-6")
    return ridge


def ridge_level(gram: Tensor, ridge: float) -> Tensor:
    """Return a ridge in the unit of matrices `(B, n, n)`: `ridge` times the mean of the diagonal, `(B,)`."""
    level = ridge * gram.diagonal(dim1=-2, dim2=-1).mean(-1)
    # A matrix of zeros belongs to constant images: any positive level gives the answer zero.
    return torch.where(level > 0, level, 1.0)


def _power(a: Tensor) -> Tensor:
    return a.square().mean(-1, keepdim=True)
