"""SMGU-Net-style: what the title of SMGU-Net (Yan et al., 2025) tells, filled in; no reproduction."""

import torch
from torch import Tensor, nn

from cofusion.models.base import FusionNetwork
from cofusion.models.deep.blocks import SQUEEZE, ResBlock, channel_gate, conv
from cofusion.sensors.decimation import upsample

STAGES = 4
# Residual blocks of each of a stage's two branches.
BLOCKS = 9
# Side of the learned blur; scales above it take the odd side that covers a block.
BLUR = 13
# Side of the filter that makes a map of features.
MAP_FILTER = 7
# What the learned steps start as.
STEP = 0.1


class SMGUNetStyle(FusionNetwork):
    """An SMGU-Net-style network: unfold a spatial and a spectral model whose branches guide each other.

    This is no reproduction of SMGU-Net. Its code is not public, and this project knows no more of it than its
    title, one sentence about it in the CoFusion paper, its size (6.23 M parameters at 103 and 4 bands) and
    the form of earlier networks of its authors. What this network achieves says nothing about SMGU-Net.

    With D the learned blur and decimation of each band, U its counterpart upwards, R the learned spectral
    response and T its counterpart, `z` starting as the interpolated LRHSI, each of four stages does

        a = z - d U(D z - X)
        b = z - e T(R z - Y)
        z = (a + b) / 2 + residual from both branches

    with learned d and e for each stage. One branch of residual blocks reads `a`, the model of the spectra,
    the other `b`, the model of space; then the spectral branch weighs the other's channels and the spatial
    one the other's pixels, and the residual is the sum of what both predict.

    D and U cover the block of any scale. Any number of rows and columns is accepted.

    Args:
        hsi_bands: Number of HSI bands C.
        msi_bands: Number of MSI bands c.
        scale: Ratio of the two resolutions, an integer of at least 2.
        phase: Where an LR sample sits in its `scale` x `scale` block, in full-resolution pixels.
        dim: Width of the features, a multiple of 4.

    Raises:
        ValueError: An argument lies outside its range.
    """

    multiple = 1

    def __init__(self, hsi_bands: int, msi_bands: int, scale: int, phase: float = 0.0, dim: int = 64) -> None:
        super().__init__(hsi_bands, msi_bands, scale, phase)
        if dim < SQUEEZE or dim % SQUEEZE:
            raise ValueError(f"dim must be a positive multiple of {SQUEEZE}, got {dim}")
        self.dim = dim
        blur = max(BLUR, scale | 1)
        self.down = nn.Conv2d(hsi_bands, hsi_bands, blur, stride=scale, padding=blur // 2, groups=hsi_bands)
        self.up = nn.ConvTranspose2d(
            hsi_bands,
            hsi_bands,
            blur,
            stride=scale,
            padding=blur // 2,
            output_padding=scale - 1,
            groups=hsi_bands,
        )
        self.response = conv(hsi_bands, msi_bands)
        self.unresponse = conv(msi_bands, hsi_bands)
        self.steps = nn.Parameter(torch.full((STAGES, 2), STEP))
        self.stages = nn.ModuleList(Stage(hsi_bands, dim) for _ in range(STAGES))

    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Return the last stage's `z`."""
        z = upsample(lr_hsi, self.scale, self.phase)
        for stage, (d, e) in zip(self.stages, self.steps, strict=True):
            a = z - d * self.up(self.down(z) - lr_hsi)
            b = z - e * self.unresponse(self.response(z) - hr_msi)
            z = (a + b) / 2 + stage(a, b)
        return z


class Stage(nn.Module):
    """What a stage knows about images: two branches that guide each other.

    Args:
        hsi_bands: Number of HSI bands C.
        dim: Width D, a multiple of 4.
    """

    def __init__(self, hsi_bands: int, dim: int) -> None:
        super().__init__()
        self.spectral = _branch(hsi_bands, dim)
        self.spatial = _branch(hsi_bands, dim)
        self.channel_gate = channel_gate(dim)
        self.spatial_gate = nn.Sequential(
            nn.Conv2d(dim, 1, MAP_FILTER, padding=MAP_FILTER // 2), nn.Sigmoid()
        )
        self.spectral_head = conv(dim, hsi_bands)
        self.spatial_head = conv(dim, hsi_bands)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Map two cubes `(B, C, H, W)` to a residual of the same shape."""
        spectral, spatial = self.spectral(a), self.spatial(b)
        residual: Tensor = self.spectral_head(spectral * self.spatial_gate(spatial))
        residual = residual + self.spatial_head(spatial * self.channel_gate(spectral))
        return residual


def _branch(hsi_bands: int, dim: int) -> nn.Sequential:
    return nn.Sequential(conv(hsi_bands, dim), *(ResBlock(dim) for _ in range(BLOCKS)))
