"""FUSE: the Bayesian estimate in closed form, by a Sylvester equation."""

from typing import Literal, get_args

import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.models.classical.base import ClassicalMethod
from cofusion.models.classical.fourier import Torus
from cofusion.models.classical.subspace import mix, principal_directions
from cofusion.sensors import Sensors, upsample

Prior = Literal["gaussian", "none"]

# Below this share of the largest eigenvalue, a direction is one of rounding.
_TINY = 1e-12


class FUSE(ClassicalMethod):
    """Fast fusion based on Sylvester equation (Wei, Dobigeon and Tourneret, IEEE TIP 24(11), 2015).

    The scene is `Z = E U` with the principal directions `E` of the LRHSI, and `U` maximises the posterior

        |X - E U B S|² / σh² + |Y - R E U|² / σm² + Σ_pixels (u - ū)ᵀ Σ⁻¹ (u - ū)

    with blur and decimation `B S`, response `R` and the interpolated LRHSI as the prior's mean `Ū`. The
    solution is exact and takes no iterations; `gaussian` is what the literature calls the naive Gaussian
    prior, `none` is the maximum likelihood (of all maxima, the one nearest to `Ū`).

    The prior's covariance `Σ` is that of the differences of neighbouring LRHSI pixels (in the paper the
    identity times a weight): it knows by how much each direction varies from pixel to pixel.

    Args:
        components: Directions `p`; at most as many as there are bands and low-resolution pixels.
        prior: `gaussian` or `none`.
        snr: Signal-to-noise ratio in dB that is assumed of images whose sensor adds no noise.

    Raises:
        UserError: Fewer than one component, or another prior.
    """

    def __init__(self, components: int = 20, prior: Prior = "gaussian", snr: float = 60.0) -> None:
        super().__init__()
        if components < 1 or prior not in get_args(Prior):
            raise UserError(
                f"FUSE takes components >= 1 and a prior out of {', '.join(get_args(Prior))}, not "
                f"components {components} and prior {prior!r}"
            )
        self.components = components
        self.prior = prior
        self.snr = snr

    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> Tensor:
        """Return `(B, C, H, W)`."""
        torus = Torus(sensors, hr_msi)
        directions, _ = principal_directions(lr_hsi.flatten(2), self.components)
        x = mix(directions.mT, lr_hsi)
        covariance = detail_covariance(x) if self.prior == "gaussian" else None
        x, y = torus.extend_lr(x), torus.extend_hr(hr_msi)
        u = posterior_mean(
            torus,
            x,
            y,
            sensors.response.weights.to(directions) @ directions,
            (
                noise_variance(lr_hsi, min(sensors.noise.hsi_snr, self.snr)),
                noise_variance(hr_msi, min(sensors.noise.msi_snr, self.snr)),
            ),
            upsample(x, sensors.scale, sensors.phase),
            covariance,
        )
        return mix(directions, torus.crop(u)).float()


def noise_variance(image: Tensor, snr: float) -> Tensor:
    """Return the variance `(B, 1, 1)`, float64, of noise `snr` dB below the power of `(B, bands, h, w)`."""
    power = image.double().square().mean((1, 2, 3)).clamp(min=1e-30)
    return (power / 10 ** (snr / 10))[:, None, None]


def detail_covariance(x: Tensor) -> Tensor:
    """Return the covariance `(B, p, p)`, float64, of the differences of neighbours in `(B, p, h, w)`."""
    x = x.double()
    steps = torch.cat([x.diff(dim=-1).flatten(2), x.diff(dim=-2).flatten(2)], -1)
    covariance = steps @ steps.mT / max(1, steps.shape[-1])
    # What never differs is held fast, not infinitely fast.
    top = covariance.diagonal(dim1=-2, dim2=-1).amax(-1).clamp(min=1e-30)
    return covariance + _TINY * torch.diag_embed(top[:, None].expand(covariance.shape[:2]))


def posterior_mean(
    torus: Torus,
    x: Tensor,
    y: Tensor,
    response: Tensor,
    noise: tuple[Tensor, Tensor],
    mean: Tensor,
    covariance: Tensor | None,
) -> Tensor:
    """Solve `U BS (BS)ᵀ / σh² + (Rᵀ R / σm² + Σ⁻¹) U = X (BS)ᵀ / σh² + Rᵀ Y / σm² + Σ⁻¹ Ū` for U.

    The multispectral image alone gives `U₀ = Ū + K (Y - R Ū)` with the gain `K = Σ Rᵀ (R Σ Rᵀ + σm²)⁻¹`; what
    the hyperspectral samples see differently is put back along the eigenvectors of `σh² (Rᵀ R / σm² + Σ⁻¹)`,
    where the equation falls apart into one per component and frequency. Unlike the published form, nothing
    is divided by eigenvalues near zero.

    Args:
        torus: Blur and decimation of the periodic scene.
        x: Hyperspectral samples in the subspace, `(B, p, h, w)`.
        y: Multispectral image, `(B, c, H, W)`.
        response: Response in the subspace, `(B, c, p)`.
        noise: Variances `σh²` and `σm²`, `(B, 1, 1)`.
        mean: The prior's mean, `(B, p, H, W)`.
        covariance: The prior's covariance, `(B, p, p)`; None for no prior.

    Returns:
        `(B, p, H, W)`.
    """
    hsi_noise, msi_noise = noise
    precision = response.mT @ response / msi_noise
    if covariance is None:
        gain = torch.linalg.pinv(response, rtol=_TINY**0.5)
    else:
        spread = response @ covariance
        identity = torch.eye(y.shape[1], dtype=response.dtype, device=response.device)
        gain = torch.linalg.solve(spread @ response.mT + msi_noise * identity, spread).mT
        precision = precision + torch.linalg.inv(covariance)
    levels, axes = torch.linalg.eigh(hsi_noise * precision)
    levels = torch.where(levels > _TINY * levels[:, -1:], levels, 0.0)
    u = mean + mix(gain, y - mix(response, mean))
    missing = torus.solve(mix(axes.mT, x - torus.sample(u)), levels.to(x)[..., None, None])
    return u.add_(torus.spread(mix(axes, missing)))
