"""BUGPan's head: an ensemble by fixed masks (Durasov et al., CVPR 2021), and where its members disagree."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MASKS = 12
# Of this many channels, a mask keeps one.
THINNING = 4
# Keeps the relative spread and its gradient finite where mean and spread vanish.
EPSILON = 1e-3


class Masksembles(nn.Module):
    """Predict a cube by twelve linear maps that share one weight and each see a quarter of the features.

    Args:
        dim: Width D of the features, a multiple of 4.
        hsi_bands: Number of HSI bands C.
    """

    def __init__(self, dim: int, hsi_bands: int) -> None:
        super().__init__()
        self.refine = nn.Sequential(
            nn.Conv2d(dim, dim, 3, padding=1, groups=dim), nn.ReLU(), nn.Conv2d(dim, dim, 1)
        )
        self.predict = nn.Conv2d(dim, hsi_bands, 1)
        self.register_buffer("masks", fixed_masks(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return the members' mean `(B, C, H, W)` from features `(B, D, H, W)`.

        The members being linear, it is one map of the features weighed by the mean of the masks.
        """
        masks = self.get_buffer("masks")
        mean: Tensor = self.predict(self.refine(x) * masks.mean(0)[:, None, None])
        return mean

    def uncertainty(self, x: Tensor) -> Tensor:
        """Measure how much the members disagree, in space and in frequency.

        The relative spread in frequency is `std / (|mean| + std)` of the real and the imaginary parts of the
        members' Fourier transforms, in [0, 1): a growing function of `std / mean`, which itself has no bound.

        Args:
            x: Features `(B, D, H, W)`.

        Returns:
            `(B, 3 C, H, W)` in float32: the members' variance, and the relative spreads of real and imaginary
            parts.
        """
        with torch.autocast(x.device.type, enabled=False):
            refined = self.refine(x.float())
            masks = self.get_buffer("masks")
            mean = torch.fft.fft2(self.predict(refined * masks.mean(0)[:, None, None]), norm="ortho")
            waves = torch.fft.fft2(refined, norm="ortho")
            parts = [
                _relative(self._variance(wave), centre)
                for wave, centre in ((waves.real, mean.real), (waves.imag, mean.imag))
            ]
            return torch.cat((self._variance(refined), *parts), 1)

    def _variance(self, refined: Tensor) -> Tensor:
        """Return the members' variance; by linearity a member departs from the mean as its mask does."""
        masks = self.get_buffer("masks")
        departures = self.predict.weight * (masks - masks.mean(0))[:, None, :, None, None]
        members = F.conv2d(refined, departures.flatten(0, 1))
        variance: Tensor = torch.unflatten(members, 1, (MASKS, -1)).square().mean(1)
        return variance


def fixed_masks(dim: int) -> Tensor:
    """Return the masks `(12, D)` of zeros and ones, the same ones always.

    Each keeps a quarter of the channels and each channel is kept by a quarter of the masks: three seeded
    shuffles of the channels, cut into four.
    """
    generator = torch.Generator().manual_seed(0)
    kept = dim // THINNING
    shuffles = [torch.randperm(dim, generator=generator) for _ in range(MASKS // THINNING)]
    channels = torch.stack(shuffles).reshape(MASKS, kept)
    return torch.zeros(MASKS, dim).scatter_(1, channels, 1.0)


def _relative(variance: Tensor, mean: Tensor) -> Tensor:
    std = (variance + EPSILON**2).sqrt()
    return std / (mean.abs() + std)
