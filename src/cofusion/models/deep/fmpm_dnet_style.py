"""FMPM-DNet-style: what FMPM-DNet's abstract (Wang et al., AAAI 2025) tells, filled in; no reproduction."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cofusion.models.base import FusionNetwork
from cofusion.models.deep.blocks import ResBlock, channel_gate, conv
from cofusion.sensors.decimation import upsample

# Blocks of the first stage, depths of the second, and residual blocks between two depths.
MODULATIONS = 3
DEPTHS = 5
BLOCKS = 2
# Channels that share a kernel of a pixel; a kernel is 3 x 3.
GROUP = 8
TAPS = 9


class FMPMDNetStyle(FusionNetwork):
    """An FMPM-DNet-style network: coarse fusion by feature modulation, reconstruction by probability masks.

    This is no reproduction of FMPM-DNet. Its code is not public, and its authors' abstract names two stages
    and three units without their layers. This network has such stages and units, of this project's making and
    in about the published size (5.84 M parameters at 103 and 4 bands). What it achieves says nothing about
    FMPM-DNet.

    First stage: spatial features become waves, `A cos(phi)` and `A sin(phi)` of a learned amplitude and
    phase; a dynamic feature modulation unit (DFMU) filters the spectral features at every pixel by a kernel
    that both kinds of features determine. Second stage: residual blocks make features of five depths; a
    feature probability mask unit (FPMU) weighs all depths by each other, and neighbours within each depth.
    The result is added to the interpolated LRHSI, where alone the scale enters. Any number of rows and
    columns is accepted.

    Args:
        hsi_bands: Number of HSI bands C.
        msi_bands: Number of MSI bands c.
        scale: Ratio of the two resolutions, an integer of at least 2.
        phase: Where an LR sample sits in its `scale` x `scale` block, in full-resolution pixels.
        dim: Width of the features, a multiple of 8.

    Raises:
        ValueError: An argument lies outside its range.
    """

    multiple = 1

    def __init__(
        self, hsi_bands: int, msi_bands: int, scale: int, phase: float = 0.0, dim: int = 128
    ) -> None:
        super().__init__(hsi_bands, msi_bands, scale, phase)
        if dim < GROUP or dim % GROUP:
            raise ValueError(f"dim must be a positive multiple of {GROUP}, got {dim}")
        self.dim = dim
        self.embed_hsi = conv(hsi_bands, dim)
        self.embed_msi = conv(msi_bands, dim)
        self.waves = nn.ModuleList(WaveMixing(dim) for _ in range(MODULATIONS))
        self.modulations = nn.ModuleList(DFMU(dim) for _ in range(MODULATIONS))
        self.join = nn.Conv2d(2 * dim, dim, 1)
        self.depths = nn.ModuleList(
            nn.Sequential(*(ResBlock(dim) for _ in range(BLOCKS))) for _ in range(DEPTHS)
        )
        self.masks = FPMU(dim)
        self.head = conv(dim, hsi_bands)

    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Add the reconstruction to the interpolated LRHSI."""
        base = upsample(lr_hsi, self.scale, self.phase)
        spectral, spatial = self.embed_hsi(base), self.embed_msi(hr_msi)
        for wave, modulate in zip(self.waves, self.modulations, strict=True):
            spatial = wave(spatial)
            spectral = modulate(spectral, spatial)
        x = self.join(torch.cat((spectral, spatial), 1))
        features: list[Tensor] = []
        for depth in self.depths:
            x = depth(x)
            features.append(x)
        residual: Tensor = self.head(self.masks(features))
        return base + residual


class WaveMixing(nn.Module):
    """Add to features what a convolution makes of them as waves (after Wave-MLP, Tang et al., CVPR 2022).

    Args:
        dim: Width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.amplitude = nn.Conv2d(dim, dim, 1)
        self.phase = nn.Conv2d(dim, dim, 1)
        self.mix = conv(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, D, H, W)` to the same shape."""
        amplitude, phase = self.amplitude(x), self.phase(x)
        mixed: Tensor = x + self.mix(torch.cat((amplitude * phase.cos(), amplitude * phase.sin()), 1))
        return mixed


class DFMU(nn.Module):
    """Dynamic feature modulation: filter by kernels and weigh channels by gates that the features determine.

    Args:
        dim: Width D, a multiple of 8.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.observe = nn.Sequential(conv(2 * dim, dim), nn.GELU())
        self.kernels = nn.Conv2d(dim, dim // GROUP * TAPS, 1)
        self.gate = channel_gate(dim)
        self.proj = nn.Conv2d(dim, dim, 1)

    def forward(self, spectral: Tensor, spatial: Tensor) -> Tensor:
        """Map two kinds of features `(B, D, H, W)` to the new spectral ones."""
        seen = self.observe(torch.cat((spectral, spatial), 1))
        filtered = filter_by_pixel(spectral, torch.unflatten(self.kernels(seen), 1, (-1, TAPS)))
        modulated: Tensor = spectral + self.proj(filtered * self.gate(seen))
        return modulated


class FPMU(nn.Module):
    """Probability masks: over the channels of all depths, and over the neighbours of a pixel in each depth.

    What they let through is added to the features of the last depth.

    Args:
        dim: Width D, a multiple of 8.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.across = nn.Conv2d(DEPTHS * dim, DEPTHS * dim, 1)
        self.within = nn.ModuleList(nn.Conv2d(dim, dim // GROUP * TAPS, 1) for _ in range(DEPTHS))
        self.merge = nn.Conv2d(DEPTHS * dim, dim, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Map the features of the depths, each `(B, D, H, W)`, to one of the same shape."""
        local = [
            filter_by_pixel(x, torch.unflatten(logits(x), 1, (-1, TAPS)).softmax(2))
            for logits, x in zip(self.within, features, strict=True)
        ]
        probability = self.across(torch.cat(features, 1)).sigmoid()
        merged: Tensor = features[-1] + self.merge(probability * torch.cat(local, 1))
        return merged


def filter_by_pixel(x: Tensor, kernels: Tensor) -> Tensor:
    """Filter every pixel by a 3x3 kernel of its own, which a group of channels shares.

    Args:
        x: `(B, D, H, W)`; beyond the border, the border's pixels repeat.
        kernels: `(B, groups, 9, H, W)`, row by row; the channels of a group lie side by side.

    Returns:
        `(B, D, H, W)`.
    """
    groups, (rows, cols) = kernels.shape[1], x.shape[2:]
    wide = torch.unflatten(F.pad(x, (1, 1, 1, 1), mode="replicate"), 1, (groups, -1))
    filtered = torch.zeros_like(wide[..., :rows, :cols])
    for tap in range(TAPS):
        row, col = divmod(tap, 3)
        filtered = filtered + wide[..., row : row + rows, col : col + cols] * kernels[:, :, None, tap]
    return torch.flatten(filtered, 1, 2)
