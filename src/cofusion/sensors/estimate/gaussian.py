"""The Gaussian that is nearest to an estimated PSF."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# A narrower Gaussian on a tap is a single tap.
_NARROWEST = 0.2


@dataclass(frozen=True)
class GaussianFit:
    """A Gaussian beside the centre of a block, in full-resolution pixels.

    Attributes:
        sigma: Standard deviations down and to the right; 0.2, the least, stands for that and less.
        shift: How far its centre lies below and to the right of the block's centre.
    """

    sigma: tuple[float, float]
    shift: tuple[float, float]

    def taps(self, size: int) -> Tensor:
        """Return `(size, size)` taps with sum 1; a block's centre is the centre of the window."""
        down, right = (_line(size, sigma, shift) for sigma, shift in zip(self.sigma, self.shift, strict=True))
        return down[:, None] * right

    def parameters(self) -> np.ndarray:
        """Return shift and sigma down, shift and sigma to the right."""
        return np.array([self.shift[0], self.sigma[0], self.shift[1], self.sigma[1]])

    @classmethod
    def of(cls, parameters: np.ndarray) -> "GaussianFit":
        """Make one of `parameters()`; a sigma is at least 0.2."""
        down, sigma_down, right, sigma_right = (float(value) for value in parameters)
        return cls((max(sigma_down, _NARROWEST), max(sigma_right, _NARROWEST)), (down, right))


def fit_gaussian(psf: Tensor) -> GaussianFit:
    """Fit a Gaussian with its axes along rows and columns to a PSF, by least squares of the taps.

    Args:
        psf: `(size, size)` with sum 1.
    """
    from scipy.optimize import least_squares

    size = len(psf)
    # Small taps are noise, and the farther out they are, the more they would widen the PSF.
    core = torch.where(psf > 0.1 * psf.max(), psf, 0.0)
    start = [*_mean_and_sigma(core.sum(1)), *_mean_and_sigma(core.sum(0))]

    def errors(parameters: np.ndarray) -> np.ndarray:
        return (GaussianFit.of(parameters).taps(size) - psf).flatten().numpy()

    bounds = ([-size / 2, _NARROWEST] * 2, [size / 2, float(size)] * 2)
    return GaussianFit.of(least_squares(errors, np.clip(start, *bounds), bounds=bounds, x_scale="jac").x)


def _at(size: int) -> Tensor:
    return torch.arange(size, dtype=torch.float64) - (size - 1) / 2


def _line(size: int, sigma: float, shift: float) -> Tensor:
    # A softmax does not vanish where the Gaussian lies far from all taps.
    return torch.softmax(-0.5 * ((_at(size) - shift) / sigma) ** 2, 0)


def _mean_and_sigma(line: Tensor) -> tuple[float, float]:
    line, at = line / line.sum(), _at(len(line))
    mean = float(line @ at)
    return mean, max(float(line @ (at - mean) ** 2) ** 0.5, _NARROWEST)
