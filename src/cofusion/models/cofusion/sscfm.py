"""SSCFM, the spatial-spectral cross-fusion module (section 3.4)."""

import torch
from torch import Tensor, nn

from cofusion.models.cofusion.layers import RESIDUAL_SCALE, ChannelNorm, DWConv

SEGMENTS = 4
# Excitation widens the channel vector by this factor between its two linear layers.
EXPANSION = 4
MASK_DROPOUT = 0.1


class SSCFM(nn.Module):
    """Let the spatial and the spectral stream refine each other.

    Args:
        dim: Width D, divisible by 4.

    Raises:
        ValueError: D is not divisible by 4.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        if dim % SEGMENTS:
            raise ValueError(
                f"SSCFM splits its channels into {SEGMENTS} segments: dim {dim} is not divisible"
            )
        self.spatial = CrossStream(dim)
        self.spectral = CrossStream(dim)

    def forward(self, f_spa: Tensor, f_spe: Tensor) -> tuple[Tensor, Tensor]:
        """Map both streams `(B, D, H, W)` to their refinements of the same shapes."""
        masks_spa, masks_spe = self.spatial.masks(f_spa), self.spectral.masks(f_spe)
        return self.spatial(f_spa, masks_spe), self.spectral(f_spe, masks_spa)


class CrossStream(nn.Module):
    """One stream's half of the module: its masks for the other, and the cross operator on itself.

    Args:
        dim: Width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(dim)
        self.lka3 = DWConv(dim, kernel_size=3)
        self.lka5 = DWConv(dim, kernel_size=5)
        self.sse = nn.Sequential(
            nn.Linear(dim, EXPANSION * dim), nn.ReLU(), nn.Linear(EXPANSION * dim, dim), nn.Sigmoid()
        )
        self.drop = nn.Dropout(MASK_DROPOUT)
        self.out = nn.Conv2d(dim, dim, 3, padding=1)

    def masks(self, f: Tensor) -> tuple[Tensor, Tensor]:
        """LKA: return the 3x3 and the 5x5 attention mask, `(B, D, H, W)` each, adding up to 1."""
        normed = self.norm(f)
        # The softmax over two maps is the sigmoid of their difference.
        small = torch.sigmoid(self.lka3(normed) - self.lka5(normed))
        # Noise at the large scale is simulated by missing features.
        return small, self.drop(1 - small)

    def forward(self, f: Tensor, other_masks: tuple[Tensor, Tensor]) -> Tensor:
        """Cross operator: excite the stream's segments, weigh them by the other's masks, add the residual."""
        v = self.sse(f.amax((2, 3)))[:, :, None, None]
        small, large = other_masks
        quarter = f.shape[1] // SEGMENTS
        # 3x3 and 5x5 masks alternate over the four segments.
        weights = torch.cat(
            [
                (small if segment % 2 == 0 else large)[:, segment * quarter : (segment + 1) * quarter]
                for segment in range(SEGMENTS)
            ],
            1,
        )
        residual: Tensor = self.out(f * v * weights)
        return f + RESIDUAL_SCALE * residual
