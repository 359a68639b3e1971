"""Which high-resolution image sharpens which hyperspectral band.

Pansharpening knows one panchromatic image; here there are `c` multispectral bands. Every method takes a guide
for each hyperspectral band j, a weighted sum of them: `P_j = sum_i a_ji Y_i + b_j`.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from cofusion.errors import UserError
from cofusion.models.classical.nonnegative import nonnegative_least_squares
from cofusion.models.classical.statistics import centred, covariance, deviation, ratio
from cofusion.sensors import Sensors

Match = Literal["selection", "least_squares", "nonnegative"]

# Directions in which the multispectral bands (scaled to unit variance) vary less than this are not fitted.
_RANK = 1e-10


@dataclass(frozen=True)
class Matched:
    """A pair at low resolution and the guides that it gives.

    Attributes:
        x: LRHSI, centred: `(B, C, pixels)` float64.
        x_mean: Its means, `(B, C, 1)`.
        y: HRMSI seen through the hyperspectral sensor's blur and decimation, centred: `(B, c, pixels)`.
        y_mean: Its means, `(B, c, 1)`.
        y_low: The same image as it is: `(B, c, h, w)`.
        weights: Guide of band j from multispectral band i, `a_ji`: `(B, C, c)` float64.
        offset: `b_j`, `(B, C, 1)` float64; 0 with band selection.
        groups: Which hyperspectral bands are sharpened together, `(B, C, groups)` of 0 and 1: with band
            selection, those that share a multispectral band, else all.
    """

    x: Tensor
    x_mean: Tensor
    y: Tensor
    y_mean: Tensor
    y_low: Tensor
    weights: Tensor
    offset: Tensor
    groups: Tensor

    @property
    def guides(self) -> Tensor:
        """The guides at low resolution, centred: `(B, C, pixels)`."""
        return self.weights @ self.y

    def mean_offset(self, weights: Tensor) -> Tensor:
        """Return what gives guides of these weights the means of the bands, `(B, C, 1)`."""
        return self.x_mean - weights @ self.y_mean

    def equalised(self, target: Tensor) -> Tensor:
        """Return the weights of guides with the standard deviations of centred images `(B, C, pixels)`."""
        return ratio(deviation(target), deviation(self.guides)) * self.weights

    @property
    def partners(self) -> Tensor:
        """Which bands are sharpened together, `(B, C, C)` of 0 and 1."""
        return self.groups @ self.groups.mT

    @property
    def mean_spectra(self) -> Tensor:
        """The weights that average the bands of every band's group, `(B, C, C)`."""
        return self.partners / self.partners.sum(-1, keepdim=True)


def match_bands(lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors, match: Match) -> Matched:
    """Find a guide for every hyperspectral band.

    The ways are those of Yokoya, Grohnfeldt and Chanussot, "Hyperspectral and multispectral data fusion: a
    comparative review", IEEE GRSM 5(2), 2017; hypersharpening is from Selva et al., "Hyper-sharpening: a
    first approach on SIM-GA data", IEEE JSTARS 8(6), 2015.

    Args:
        lr_hsi: X, `(B, C, h, w)`.
        hr_msi: Y, `(B, c, H, W)`.
        sensors: Their blur and decimation show Y at X's resolution.
        match: `selection`: for each band the multispectral band that correlates with it best.
            `least_squares` (hypersharpening): the weights and offset that fit the band best. `nonnegative`:
            the same with weights >= 0.

    Raises:
        UserError: An image holds NaN or infinite values.
    """
    y_low = sensors.lr_hsi(hr_msi)
    (x, x_mean), (y, y_mean) = centred(lr_hsi), centred(y_low)
    for name, mean in (("LRHSI", x_mean), ("HRMSI", y_mean)):
        if not bool(mean.isfinite().all()):
            raise UserError(f"the {name} holds NaN or infinite values; fill pixels without data beforehand")
    y_size = deviation(y)
    # Of unit variance: what counts as dependent must not depend on how bright a band is.
    unit = ratio(y, y_size)
    like = covariance(x, unit)
    if match == "selection":
        # The correlation but for the deviation of x, which all candidates share.
        weights = groups = F.one_hot(like.argmax(-1), y.shape[1]).to(y)
        offset = torch.zeros_like(x_mean)
    else:
        fit = _least_squares if match == "least_squares" else _nonnegative
        weights = ratio(fit(covariance(unit, unit), like), y_size.mT)
        offset, groups = x_mean - weights @ y_mean, torch.ones_like(x_mean)
    return Matched(x, x_mean, y, y_mean, y_low, weights, offset, groups)


def checked(match: Match) -> Match:
    """Return the way to match, or raise `UserError` where it is none."""
    if match not in get_args(Match):
        raise UserError(f"unknown match {match!r}; choose one of: {', '.join(get_args(Match))}")
    return match


def _least_squares(gram: Tensor, like: Tensor) -> Tensor:
    inverse: Tensor = torch.linalg.pinv(gram, rtol=_RANK, hermitian=True)
    return like @ inverse


def _nonnegative(gram: Tensor, like: Tensor) -> Tensor:
    definite = gram + _RANK * torch.eye(gram.shape[-1]).to(gram)
    return nonnegative_least_squares(definite[:, None].expand(-1, like.shape[1], -1, -1), like)
