"""Total variation: both images as one inverse problem, by majorisation and minimisation."""

import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.models.classical.base import ClassicalMethod
from cofusion.models.classical.fourier import Torus, difference
from cofusion.models.classical.subspace import mix
from cofusion.sensors import Sensors, upsample

# Bounds D D^T for differences to the right and downwards.
_DIFFERENCES = 8.0
# Values that are worked on at once.
_CACHED = 2**18


class TV(ClassicalMethod):
    """Fusion under total variation (Palsson, Sveinsson and Ulfarsson, IEEE GRSL 11(1), 2014).

    The scene minimises `|Y - M Z|² + λ TV(Z)`, where `M` stacks blur and decimation of every band and the
    spectral response of every pixel, and `TV` sums `sqrt((∂h z)² + (∂v z)²)` over bands and pixels, over a
    periodic scene (see `Torus`). It starts at the interpolated LRHSI. Every step minimises a bound of the
    objective that touches it:

        b = α Z + Mᵀ (Y - M Z)
        q <- (c q + D (b - Dᵀ q)) / (2 α/λ |D Z| + c)        `inner` times
        Z <- (b - Dᵀ q) / α

    The published method is for one panchromatic band; its weights are here the rows of the response. `α` is
    the norm of `MᵀM`, of which the published 0.75 is a guess.

    Args:
        smoothness: `λ`, for values in [0, 1].
        iterations: Steps.
        inner: Updates of `q` per step, which approach the bound's minimum.

    Raises:
        UserError: A number that is not positive.
    """

    def __init__(self, smoothness: float = 1e-4, iterations: int = 50, inner: int = 1) -> None:
        super().__init__()
        if min(smoothness, iterations, inner) <= 0:
            raise UserError(
                f"TV takes positive numbers, not smoothness {smoothness}, iterations {iterations} and inner "
                f"{inner}"
            )
        self.smoothness = smoothness
        self.iterations = iterations
        self.inner = inner

    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> Tensor:
        """Return `(B, C, H, W)`."""
        torus = Torus(sensors, hr_msi)
        descent = Descent(self, torus, torus.extend_lr(lr_hsi), torus.extend_hr(hr_msi))
        for _ in range(self.iterations):
            descent.step()
        return torus.crop(descent.z).float()


class Descent:
    """The steps of `TV`.

    Args:
        options: Weight and number of inner updates.
        torus: Blur and decimation of the periodic scene.
        x: Hyperspectral samples, `(B, C, h, w)`.
        y: Multispectral image, `(B, c, H, W)`.
    """

    def __init__(self, options: TV, torus: Torus, x: Tensor, y: Tensor) -> None:
        self.torus, self.x, self.y, self.inner = torus, x, y, options.inner
        self.response = torus.sensors.response.weights.to(y)
        seen = torch.linalg.matrix_norm(torus.sensors.response.weights, 2).square()
        self.alpha = float(torus.power.max().double() + seen)
        self.weight = 2 * self.alpha / options.smoothness
        self.z = upsample(x, torus.scale, torus.sensors.phase).contiguous()
        self.across, self.down = torch.zeros_like(self.z), torch.zeros_like(self.z)

    def step(self) -> None:
        """Minimise the bound at the present scene."""
        rest = self.y - mix(self.response, self.z)
        # Only the response ties the bands together; few at a time stay in a processor's cache.
        few = max(1, _CACHED // rest[:, 0].numel())
        for first in range(0, self.z.shape[1], few):
            self._step_bands(slice(first, first + few), rest)

    def _step_bands(self, bands: slice, rest: Tensor) -> None:
        z, across, down = self.z[:, bands], self.across[:, bands], self.down[:, bands]
        b = self.torus.spread(self.x[:, bands] - self.torus.sample(z)).add_(z, alpha=self.alpha)
        b += mix(self.response[:, bands].mT, rest)
        length = difference(z, -1).square_().add_(difference(z, -2).square_()).sqrt_()
        share = length.mul_(self.weight).add_(_DIFFERENCES).reciprocal_()
        for _ in range(self.inner):
            slopes = b - _divergence(across, down)
            across.mul_(_DIFFERENCES).add_(difference(slopes, -1)).mul_(share)
            down.mul_(_DIFFERENCES).add_(difference(slopes, -2)).mul_(share)
        torch.sub(b, _divergence(across, down), out=b)
        torch.div(b, self.alpha, out=z)


def _divergence(across: Tensor, down: Tensor) -> Tensor:
    """Return `Dᵀ q`."""
    return difference(across, -1, forward=False).add_(difference(down, -2, forward=False))
