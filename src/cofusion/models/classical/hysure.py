"""HySure: a convex fit to both images under vector total variation, by ADMM."""

import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.models.classical.base import ClassicalMethod
from cofusion.models.classical.fourier import Torus, difference
from cofusion.models.classical.subspace import mix, principal_directions
from cofusion.sensors import Sensors, upsample


class HySure(ClassicalMethod):
    """Subspace regularisation by vector total variation (Simões et al., IEEE TGRS 53(6), 2015).

    The scene is `Z = E U` with the principal directions `E` of the LRHSI, and `U` minimises the convex

        1/2 |X - E U B S|² + λm/2 |Y - R E U|² + λφ Σ_pixels sqrt(Σ_components (∂h u)² + (∂v u)²)

    with blur and decimation `B S` and response `R`, over a periodic scene (see `Torus`). It starts at the
    interpolated LRHSI.

    Args:
        components: Directions `p`; at most as many as there are bands and low-resolution pixels.
        msi_weight: `λm`.
        smoothness: `λφ`, for values in [0, 1].
        penalty: `μ` of the augmented Lagrangian: how fast it converges, not whereto.
        iterations: Steps of ADMM.

    Raises:
        UserError: A number that is not positive.
    """

    def __init__(
        self,
        components: int = 10,
        msi_weight: float = 1.0,
        smoothness: float = 1e-4,
        penalty: float = 0.005,
        iterations: int = 100,
    ) -> None:
        super().__init__()
        if min(components, msi_weight, smoothness, penalty, iterations) <= 0:
            raise UserError(
                f"HySure takes positive numbers, not components {components}, msi_weight {msi_weight}, "
                f"smoothness {smoothness}, penalty {penalty} and iterations {iterations}"
            )
        self.components = components
        self.msi_weight = msi_weight
        self.smoothness = smoothness
        self.penalty = penalty
        self.iterations = iterations

    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> Tensor:
        """Return `(B, C, H, W)`."""
        torus = Torus(sensors, hr_msi)
        directions, _ = principal_directions(lr_hsi.flatten(2), self.components)
        response = sensors.response.weights.to(directions) @ directions
        x = torus.extend_lr(mix(directions.mT, lr_hsi))
        splitting = Splitting(self, torus, x, torus.extend_hr(hr_msi), response)
        for _ in range(self.iterations):
            splitting.step()
        return mix(directions, torus.crop(splitting.u)).float()


class Splitting:
    """ADMM with the splits `V1 = U B`, `V2 = U`, `V3 = U Dh` and `V4 = U Dv` (SALSA).

    The iterates are those of the published program. Two things save most of its work: away from the samples
    `V1 = U B`, with a multiplier of zero, so that both need the low-resolution grid only; and the next step
    asks for `V + D` alone, which with `Q = G U - D` and the new `D = V - Q` is `Q + 2 D`. One Fourier
    transform there and one back are left of each step.

    Args:
        options: Weights and penalty.
        torus: Blur and decimation of the periodic scene.
        x: Hyperspectral samples in the subspace, `(B, p, h, w)`.
        y: Multispectral image, `(B, c, H, W)`.
        response: Response in the subspace, `(B, c, p)`, float64.
    """

    def __init__(self, options: HySure, torus: Torus, x: Tensor, y: Tensor, response: Tensor) -> None:
        self.torus, self.x, self.y, self.response = torus, x, y, response
        self.penalty, self.threshold = options.penalty, options.smoothness / options.penalty
        ridge = self.penalty * torch.eye(x.shape[1], dtype=response.dtype, device=response.device)
        #: `λm (λm Rᵀ R + μ)⁻¹ Rᵀ`, what turns the misfit to the MSI into its correction.
        self.gain = options.msi_weight * torch.linalg.solve(
            options.msi_weight * response.mT @ response + ridge, response.mT
        )
        blur = torus.adjoint.abs().square()
        self.inverse = 1 / (blur + 1 + difference_power(torus, x))
        self.blur = blur * self.inverse
        self.u = upsample(x, torus.scale, torus.sensors.phase).contiguous()
        self.spectrum = torch.fft.rfft2(self.u)
        # What the next step's right side holds beyond the scene itself: nothing yet, as V = G U and D = 0.
        self.d1 = torch.zeros_like(x)
        self.d2 = torch.zeros_like(self.u)
        self.d3, self.d4 = torch.zeros_like(self.u), torch.zeros_like(self.u)
        self._right = (
            self.u
            + difference(difference(self.u, -1), -1, forward=False)
            + difference(difference(self.u, -2), -2, forward=False)
        )
        self._samples = torch.zeros_like(x)

    def step(self) -> None:
        """Minimise over U, then over V, and update the multipliers."""
        right = torch.fft.rfft2(self._right).add_(self.torus.spread_spectrum(self._samples))
        self.spectrum.mul_(self.blur).addcmul_(right, self.inverse.to(right))
        self.u = self.torus.image(self.spectrum)
        self._split_samples()
        self._right = self._split_pixels()
        self._split_differences()

    def _split_samples(self) -> None:
        """Fit V1 to the samples: `(X + μ (UB - D1)) / (1 + μ)`."""
        seen = self.torus.sample(self.u)
        moved = (self.x - seen + self.d1) / (1 + self.penalty)
        # V1 = UB - D1 + moved, hence the new D1 = moved, and V1 + D1 - UB is what is kept.
        self._samples = 2 * moved - self.d1
        self.d1 = moved

    def _split_pixels(self) -> Tensor:
        """Fit V2 to the multispectral image; return V2 + D2."""
        q = self.u - self.d2
        self.d2 = mix(self.gain, self.y - mix(self.response, q))
        return q.add_(self.d2, alpha=2)

    def _split_differences(self) -> None:
        """Shrink V3 and V4 together; add `(V3 + D3) Dhᵀ + (V4 + D4) Dvᵀ` to the right side."""
        across, down = difference(self.u, -1).sub_(self.d3), difference(self.u, -2).sub_(self.d4)
        length = across.square().sum(1, keepdim=True).add_(down.square().sum(1, keepdim=True)).sqrt_()
        # V = G U - D, shortened by the threshold: the new D is minus what is cut off.
        cut = (self.threshold / length.clamp_(min=self.threshold)).neg_()
        self.d3, self.d4 = across * cut, down * cut
        self._right.add_(difference(across.add_(self.d3, alpha=2), -1, forward=False))
        self._right.add_(difference(down.add_(self.d4, alpha=2), -2, forward=False))


def difference_power(torus: Torus, like: Tensor) -> Tensor:
    """Return `|FDh|² + |FDv|²` on the `rfft2` grid."""
    down = torch.fft.fftfreq(torus.rows, dtype=torch.float64)
    across = torch.fft.rfftfreq(torus.cols, dtype=torch.float64)
    power = [4 * torch.sin(torch.pi * f).square() for f in (down, across)]
    return (power[0][:, None] + power[1]).to(like)
