"""The fit: response and PSF that make both images of a pair tell the same.

With `X` the low-resolution spectra and `Y_j` the windows of multispectral band `j` around them, both less
their means (an offset between the images, such as the path radiance of the air, does no harm), the fit is

    minimise  sum_j |r_j X - b Y_j|^2 + lambda_j |D r_j|^2  +  mu |G b|^2   over r_j >= 0, b >= 0, sum b = 1,

where `D` takes differences of neighbouring bands and `G` differences of neighbouring taps. This is HySure's
estimation (Simoes et al., IEEE TGRS 53(6), 2015). HySure finds `r` first, on images blurred until the PSF
does not matter, and `b` for this `r`. Here `b` is found with the best `r` for every `b` put in (for given
weights, the problem is convex in both together), then `r` for this `b`, both again until they settle. In the
step for `b` the power of `b Y` is held and the sum made 1 afterwards, so that a wide PSF, which leaves little
to explain, has no advantage.

HySure's weights `lambda` and `mu` are fixed numbers. Here they are those of the evidence (MacKay, Neural
Computation 4(3), 1992): variance of the noise over that of the differences, both told from the fit. They fall
to nothing by themselves where the images agree to the last digit, and hold noise down where they do not.

Few pixels are explained by many PSFs, each with responses of its own. A Gaussian has four numbers only:
`fit_gaussian_psf` finds those with which the best responses leave the least.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cofusion.sensors.estimate.gaussian import GaussianFit
from cofusion.sensors.estimate.moments import Moments

_TURNS = 30
# Sum of the absolute changes of weights that sum to 1.
_SETTLED = 1e-3
# What rounding leaves of a sum of squares.
_ROUNDING = 1e-15
# The first penalty, in units of the mean square of what is weighed.
_FIRST = 1e-4
# Bands with less than this part of the largest response have none.
_NONE = 1e-6
# The search for a Gaussian begins with steps, and ends with changes, of so many pixels.
_STEP, _CLOSE = 0.2, 1e-3


@dataclass(frozen=True, eq=False)
class Fit:
    """What was found.

    Attributes:
        weights: `(c, C)` responses, not negative; their sums are the gains between the two images.
        taps: `(size ** 2,)` of the PSF, not negative, sum 1.
        residual: `(c,)` root mean square of `r_j X - b Y_j` over that of `b Y_j`, both less their means.
    """

    weights: Tensor
    taps: Tensor
    residual: Tensor


def fit_both(moments: Moments, guess: Tensor) -> Fit:
    """Find response and PSF.

    Args:
        moments: Of the pair.
        guess: `(size ** 2,)` taps of a PSF to begin with.
    """
    responses, psf, taps = _Responses(moments), _PSF(moments), guess
    for _ in range(_TURNS):
        shares, before = responses.shares(), taps
        taps = psf.find(responses, before)
        responses.update(taps)
        if (taps - before).abs().sum() < _SETTLED and responses.changed(shares) < _SETTLED:
            break
    return responses.fit(taps)


def fit_response(moments: Moments, taps: Tensor) -> Fit:
    """Find the response for a known PSF of `(size ** 2,)` taps."""
    return _settled(moments, taps).fit(taps)


def fit_gaussian_psf(moments: Moments, start: GaussianFit) -> tuple[GaussianFit, Fit]:
    """Find the Gaussian PSF with which the best responses leave the least, and these responses.

    Args:
        moments: Of the pair.
        start: A Gaussian that is near.
    """
    from scipy.optimize import minimize

    responses = _settled(moments, start.taps(moments.size).flatten())

    def left(parameters: np.ndarray) -> float:
        taps = GaussianFit.of(parameters).taps(moments.size).flatten()
        responses.solve(taps)
        return float(responses.squares(taps).sum())

    corners = start.parameters() + _STEP * np.vstack([np.zeros(4), np.eye(4)])
    # The responses' bounds make kinks, which a search by gradients would stumble over.
    options = {"initial_simplex": corners, "xatol": _CLOSE, "fatol": 0.0, "maxfev": 400}
    found = GaussianFit.of(minimize(left, corners[0], method="Nelder-Mead", options=options).x)
    return found, fit_response(moments, found.taps(moments.size).flatten())


def _settled(moments: Moments, taps: Tensor) -> "_Responses":
    """Return the best responses for a PSF, with their penalties."""
    responses = _Responses(moments)
    for _ in range(_TURNS):
        shares = responses.shares()
        responses.update(taps)
        if responses.changed(shares) < _SETTLED:
            break
    return responses


class _Responses:
    def __init__(self, moments: Moments) -> None:
        self.moments = moments
        bands, hsi_bands = moments.cross.shape[:2]
        self.differences = difference_penalty(hsi_bands)
        self.weights = torch.ones(bands, hsi_bands, dtype=torch.float64)
        self.penalties = torch.full((bands,), _FIRST * float(moments.hsi.diagonal().mean()))

    def solve(self, taps: Tensor) -> None:
        """Find the responses for this PSF with the penalties there are."""
        for j, cross in enumerate(self.moments.cross):
            quadratic = self.moments.hsi + self.penalties[j] * self.differences
            self.weights[j] = minimise(quadratic, cross @ taps)

    def update(self, taps: Tensor) -> None:
        """Find the responses for this PSF, then the penalties for these responses."""
        self.solve(taps)
        powers = self.powers(taps)
        for j, square in enumerate(self.squares(taps) * powers):
            self.penalties[j] = _evidence(
                self.moments.hsi,
                self.differences,
                self.penalties[j],
                self.weights[j],
                square,
                self.moments.count,
            )

    def fit(self, taps: Tensor) -> Fit:
        """Return these responses with the PSF that they were found for."""
        return Fit(self.weights, taps, self.squares(taps).sqrt())

    def shares(self) -> Tensor:
        """Return the weights of each band divided by their sum."""
        return self.weights / self.weights.sum(1, keepdim=True).clamp_min(_ROUNDING)

    def changed(self, shares: Tensor) -> float:
        """Return by how much the shares of any band differ from these."""
        return float((self.shares() - shares).abs().sum(1).max())

    def powers(self, taps: Tensor) -> Tensor:
        """Return the sum of squares of each blurred band `b Y_j`."""
        return torch.einsum("a,jab,b->j", taps, self.moments.msi, taps)

    def squares(self, taps: Tensor) -> Tensor:
        """Return the sum of squares of `r_j X - b Y_j` over that of `b Y_j`."""
        powers = self.powers(taps)
        own = torch.einsum("ja,ab,jb->j", self.weights, self.moments.hsi, self.weights)
        mixed = torch.einsum("ja,jab,b->j", self.weights, self.moments.cross, taps)
        return ((own - 2 * mixed + powers) / powers).clamp_min(_ROUNDING)

    def left(self) -> Tensor:
        """Return the quadratic form in `b` that is left of the fit once the best responses are put in.

        Bands without a response keep none.
        """
        left = self.moments.msi.sum(0)
        for weights, penalty, cross in zip(self.weights, self.penalties, self.moments.cross, strict=True):
            some = (weights > _NONE * weights.max()).nonzero().squeeze(1)
            quadratic = (self.moments.hsi + penalty * self.differences)[some[:, None], some]
            left -= cross[some].T @ torch.linalg.solve(quadratic, cross[some])
        return (left + left.T) / 2


class _PSF:
    def __init__(self, moments: Moments) -> None:
        self.whole = moments.msi.sum(0)
        self.equations = moments.count * len(moments.msi)
        # Beyond the window all taps are 0.
        lines = difference_penalty(moments.size + 2)[1:-1, 1:-1]
        unit = torch.eye(moments.size, dtype=torch.float64)
        self.differences = torch.kron(lines, unit) + torch.kron(unit, lines)
        self.penalty = _FIRST * self.whole.diagonal().mean()

    def find(self, responses: _Responses, before: Tensor) -> Tensor:
        """Find the PSF together with the best responses, beginning at another one, and its penalty."""
        left = responses.left()
        # A step of inverse iteration towards the least of what is left over what there is.
        taps = minimise(left + self.penalty * self.differences, self.whole @ before)
        taps = taps / taps.sum()
        square = torch.maximum(taps @ left @ taps, _ROUNDING * (taps @ self.whole @ taps))
        self.penalty = _evidence(left, self.differences, self.penalty, taps, square, self.equations)
        return taps


def minimise(quadratic: Tensor, linear: Tensor) -> Tensor:
    """Return the `v >= 0` that minimises `v^T quadratic v / 2 - linear^T v`.

    Args:
        quadratic: `(n, n)`, symmetric, positive semidefinite but for rounding.
        linear: `(n,)`.
    """
    from scipy.optimize import nnls

    unit = torch.eye(len(quadratic), dtype=torch.float64)
    ridge = _ROUNDING * quadratic.trace().clamp_min(_ROUNDING)
    while True:
        factor, failed = torch.linalg.cholesky_ex(quadratic + ridge * unit, upper=True)
        if not failed:
            right = torch.linalg.solve_triangular(factor.T, linear[:, None], upper=False)[:, 0]
            try:
                found, _ = nnls(factor.numpy(), right.numpy(), maxiter=5 * len(unit))
                return torch.from_numpy(found)
            except RuntimeError:
                # It turns round in circles where rounding decides.
                pass
        ridge = 10 * ridge


def difference_penalty(count: int) -> Tensor:
    """Return `D^T D` for the differences `D v` of `count` neighbouring values."""
    differences = torch.eye(count, dtype=torch.float64).diff(dim=0)
    return differences.T @ differences


def _evidence(
    quadratic: Tensor, differences: Tensor, penalty: Tensor, found: Tensor, square: Tensor, equations: int
) -> Tensor:
    """Return the penalty: the variance of the noise over that of the differences, given what was found."""
    held = torch.linalg.solve(quadratic + penalty * differences, differences).trace()
    told = (len(found) - penalty * held).clamp(1, len(found))
    noise = square / max(1.0, equations - float(told))
    wanted = noise * told / (found @ differences @ found).clamp_min(1e-300)
    # Above this one, all that is found is constant.
    wanted = wanted.clamp_max(quadratic.trace())
    # A penalty that rises again is met half-way: with hardly enough pixels it would swing for ever.
    return torch.minimum(wanted, (wanted * penalty).sqrt())
