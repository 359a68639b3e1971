"""LTMR: patches that look alike form tensors of low multi-rank, in a subspace, by ADMM."""

import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.models.classical.base import SingleImageMethod
from cofusion.models.classical.fourier import Torus
from cofusion.models.classical.fuse import detail_covariance, noise_variance, posterior_mean
from cofusion.models.classical.patches import Patches, clusters
from cofusion.models.classical.subspace import mix, principal_directions
from cofusion.sensors import Sensors, upsample


class LTMR(SingleImageMethod):
    """Subspace-based low tensor multi-rank regularisation (Dian and Li, IEEE TIP 28(10), 2019).

    The scene is `Z = E U` with the principal directions `E` of the LRHSI. Patches of the HRMSI that look
    alike (k-means) are a cluster; the patches of `W U` in the same places form its tensor
    `A (patches, pixels, p)`. The multi-rank is that of the frontal slices after a Fourier transform along the
    pixels (t-SVD), and `U` minimises

        |X - E U B S|² / 2 σh² + |Y - R E U|² / 2 σm² + η Σ_clusters Σ_slices Σ_i log σ_i(A)

    by ADMM with the split `V = U`, from the interpolated LRHSI: the step of `U` is that of `FUSE` with `V` in
    the place of the prior's mean, and the step of `V` shrinks singular values, patch by patch, and averages
    where patches overlap.

    `Wᵀ W` is the inverse root of the covariance of the differences of neighbouring LRHSI pixels, in which the
    penalty is taken as well, and the misfits are weighed by the noise (in the paper, `W` is the identity and
    both weights are one).

    Args:
        components: Directions `p`; at most as many as there are bands and low-resolution pixels.
        clusters: How many at most; on average a cluster has at least `p` patches, as fewer have a low rank
            anyhow.
        patch: Pixels along an edge of a patch.
        step: Pixels from one patch to the next.
        rank_weight: `η`.
        penalty: `μ` of the augmented Lagrangian in the first step.
        growth: Factor of the penalty from step to step.
        iterations: Steps of ADMM.
        snr: Signal-to-noise ratio in dB that is assumed of images whose sensor adds no noise.
        seed: Seed of the clusters.

    Raises:
        UserError: A number that is not positive, a step beyond the patch, or a growth below 1.
    """

    def __init__(
        self,
        components: int = 20,
        clusters: int = 2000,
        patch: int = 4,
        step: int = 2,
        rank_weight: float = 50.0,
        penalty: float = 2.0,
        growth: float = 1.05,
        iterations: int = 10,
        snr: float = 60.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        positive = min(components, clusters, patch, step, rank_weight, penalty, iterations) > 0
        if not positive or step > patch or growth < 1:
            raise UserError(
                f"LTMR takes positive numbers, step <= patch and growth >= 1, not components {components}, "
                f"clusters {clusters}, patch {patch}, step {step}, rank_weight {rank_weight}, penalty "
                f"{penalty}, growth {growth} and iterations {iterations}"
            )
        self.components = components
        self.clusters = clusters
        self.patch = patch
        self.step = step
        self.rank_weight = rank_weight
        self.penalty = penalty
        self.growth = growth
        self.iterations = iterations
        self.snr = snr
        self.seed = seed

    def fuse_one(self, x: Tensor, y: Tensor, sensors: Sensors) -> Tensor:
        """Return `(C, H, W)`."""
        lr_hsi, hr_msi = x[None], y[None]
        directions, _ = principal_directions(lr_hsi.flatten(2), self.components)
        splitting = Splitting(self, Torus(sensors, hr_msi), lr_hsi, hr_msi, directions)
        for _ in range(self.iterations):
            splitting.step()
        return mix(directions, splitting.torus.crop(splitting.u))[0].float()


class Splitting:
    """The steps of `LTMR`.

    Args:
        options: Weights, patches and clusters.
        torus: Blur and decimation of the periodic scene.
        lr_hsi: `(1, C, h, w)`.
        hr_msi: `(1, c, H, W)`.
        directions: `E`, `(1, C, p)`, float64.
    """

    def __init__(
        self, options: LTMR, torus: Torus, lr_hsi: Tensor, hr_msi: Tensor, directions: Tensor
    ) -> None:
        self.options, self.torus, self.penalty = options, torus, options.penalty
        sensors = torus.sensors
        self.noise = (
            noise_variance(lr_hsi, min(sensors.noise.hsi_snr, options.snr)),
            noise_variance(hr_msi, min(sensors.noise.msi_snr, options.snr)),
        )
        self.response = sensors.response.weights.to(directions) @ directions
        x = mix(directions.mT, lr_hsi)
        levels, axes = torch.linalg.eigh(detail_covariance(x))
        # Half way between the covariance, which asks as much of all directions, and the identity.
        roots = levels.sqrt() * (levels.sum() / levels.sqrt().sum())
        #: `W` and its inverse, and the inverse of `Wᵀ W`.
        self.whiten, self.colour = axes.mT / roots.sqrt()[:, :, None], axes * roots.sqrt()[:, None]
        self.covariance = self.colour @ self.colour.mT
        self.x, self.y = torus.extend_lr(x), torus.extend_hr(hr_msi)
        self.patches = Patches((torus.rows, torus.cols), options.patch, options.step)
        looks = self.patches.cut(self.y[0]).flatten(1)
        count = min(options.clusters, max(1, len(looks) // x.shape[1]))
        self.groups = clusters(looks, count, options.seed)
        self.u = self.v = upsample(self.x, torus.scale, sensors.phase)
        #: The scaled multiplier: what `U` was further than `V`, summed up.
        self.d = torch.zeros_like(self.u)

    def step(self) -> None:
        """Minimise over U, then over V, and update the multiplier."""
        mean, covariance = self.v.sub_(self.d), self.covariance / self.penalty
        self.u = posterior_mean(self.torus, self.x, self.y, self.response, self.noise, mean, covariance)
        self.d += self.u
        self.v = self._shrink(self.d)
        self.d -= self.v
        # The multiplier is D μ; it stays what it is.
        self.penalty *= self.options.growth
        self.d /= self.options.growth

    def _shrink(self, image: Tensor) -> Tensor:
        """Return the image `(1, p, rows, cols)` with the clusters' tensors at lower rank."""
        patches = self.patches.cut(mix(self.whiten, image)[0])
        for group in self.groups:
            patches[group] = shrink(patches[group], self.options.rank_weight / self.penalty)
        return mix(self.colour, self.patches.join(patches)[None])


def shrink(tensor: Tensor, weight: float) -> Tensor:
    """Return the tensor near a given one that has a lower multi-rank.

    In every frontal slice, after an orthonormal Fourier transform along the pixels, each singular value `s`
    becomes the local minimum `(s + sqrt(s² - 4 λ)) / 2` of `λ log t + (t - s)² / 2`, or zero where there is
    none. Slices come in conjugate pairs, and the squares of the singular values are the eigenvalues of the
    small Gram matrices.

    Args:
        tensor: `(patches, pixels, p)`.
        weight: `λ`.

    Returns:
        `(patches, pixels, p)`.
    """
    slices = torch.fft.rfft(tensor, dim=1, norm="ortho").permute(1, 2, 0)
    exact = slices.to(torch.complex128)
    energy, axes = torch.linalg.eigh(exact @ exact.mH)
    inside = 1 - 4 * weight / energy.clamp(min=4 * weight)
    share = torch.where(energy > 4 * weight, (1 + inside.sqrt()) / 2, 0.0)
    low = ((axes * share[:, None]) @ axes.mH).to(slices) @ slices
    shrunk: Tensor = torch.fft.irfft(low.permute(2, 0, 1), n=tensor.shape[1], dim=1, norm="ortho")
    return shrunk
