"""Band-dependent spatial detail: learn one scale further down what to add to each band."""

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from cofusion.models.classical.injection import add_detail, up
from cofusion.models.classical.matching import Match, Matched
from cofusion.models.classical.nonnegative import nonnegative_least_squares
from cofusion.models.classical.pansharpening import Pansharpening
from cofusion.models.classical.statistics import positive_ridge, ridge_level, ridge_solve
from cofusion.sensors import Sensors


class BDSD(Pansharpening):
    """Band-dependent spatial detail: `Z_j = up(X)_j + sum_k gamma_jk up(X)_k + gamma_j P_j`.

    The coefficients are those that do best one scale further down, where the answer is known: the least
    squares of `X_j = X'_j + sum_k gamma_jk X'_k + gamma_j P'_j`, with X' = X seen through the sensor and
    interpolated, and P' the guide at low resolution. k runs over the bands that are sharpened together. The
    estimate is global (one block), and what lies beyond the LRHSI repeats its edge. Garzelli, Nencini and
    Capobianco, "Optimal MMSE pan sharpening of very high resolution multispectral images", IEEE TGRS 46(1),
    2008.

    Args:
        match: As for every `Pansharpening`.
        ridge: Added to the diagonal of the normal equations, as a part of its mean; above 0.

    Raises:
        UserError: A ridge that is not positive.
    """

    def __init__(self, match: Match | None = None, ridge: float = 1e-4) -> None:
        super().__init__(match)
        self.ridge = positive_ridge(ridge)

    def sharpen(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors, pair: Matched) -> Tensor:
        """Estimate the coefficients and apply them.

        Raises:
            UserError: The LRHSI is smaller than one block, so it cannot be degraded once more.
        """
        answer = sensors.crop(lr_hsi)
        # A wide blur reaches further than a small image can be mirrored.
        lower = up(replace(sensors, border="replicate").lr_hsi(answer), sensors).flatten(2).double()
        residual = answer.flatten(2).double() - lower
        guides = pair.weights @ sensors.crop(pair.y_low).flatten(2).double() + pair.offset
        bands, guide = self.coefficients(lower, guides, residual, pair.partners)
        x = lr_hsi.flatten(2).double()
        base = x + bands @ x + guide * pair.offset
        return add_detail(up(base.view(lr_hsi.shape), sensors), guide * pair.weights, hr_msi)

    def coefficients(
        self, lower: Tensor, guides: Tensor, residual: Tensor, partners: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Solve the normal equations of every band.

        Args:
            lower: X', `(B, C, pixels)` float64.
            guides: P', `(B, C, pixels)`.
            residual: X - X', `(B, C, pixels)`.
            partners: Which bands are sharpened together, `(B, C, C)` of 0 and 1.

        Returns:
            `gamma_jk (B, C, C)` and `gamma_j (B, C, 1)`.
        """
        bands, shared = lower @ lower.mT, guides @ lower.mT
        power = guides.square().sum(-1, keepdim=True)
        top = torch.cat([bands[:, None].expand(-1, guides.shape[1], -1, -1), shared[..., None]], -1)
        gram = torch.cat([top, torch.cat([shared, power], -1)[..., None, :]], -2)
        right = torch.cat([residual @ lower.mT, (residual * guides).sum(-1, keepdim=True)], -1)
        # The guide is always among the unknowns, bands of other groups never: zeros keep them out.
        used = torch.cat([partners, torch.ones_like(power)], -1)
        gram, right = gram * used[..., None] * used[..., None, :], right * used
        solution = self.solve(gram, right, ridge_level(bands, self.ridge))
        return solution[..., :-1], solution[..., -1:]

    def solve(self, gram: Tensor, right: Tensor, level: Tensor) -> Tensor:
        """Solve `(G + level · I) x = r` for `(B, C, C + 1, C + 1)` and `(B, C, C + 1)`."""
        return ridge_solve(gram, right[..., None], level)[..., 0]


class BDSDPC(BDSD):
    """Physically constrained BDSD: `gamma_j >= 0` and `gamma_jk <= 0`.

    Then what is added is a gain times the guide minus an intensity of nonnegative weights. Vivone, "Robust
    band-dependent spatial-detail approaches for panchromatic sharpening", IEEE TGRS 57(9), 2019.
    """

    best_match: ClassVar[Match] = "selection"

    def solve(self, gram: Tensor, right: Tensor, level: Tensor) -> Tensor:
        """Solve under the constraints."""
        sign = -torch.ones_like(right[0, 0])
        sign[-1] = 1.0
        diagonal = level[:, None, None, None] * torch.diag(torch.ones_like(sign))
        return sign * nonnegative_least_squares(gram * sign * sign[:, None] + diagonal, sign * right)
