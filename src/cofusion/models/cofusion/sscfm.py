"""SSCFM, the spatial-spectral cross-fusion module (section 3.4)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cofusion.models.cofusion.layers import ChannelNorm, DWConv, add_residual
from cofusion.models.cofusion.pooling import per_position, pool_max, spread

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

    Attributes:
        extent: Side of the windows in which excitation is pooled, in pixels; None pools the whole image.
    """

    extent: int | None = None

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(dim)
        self.lka3 = DWConv(dim, kernel_size=3)
        self.lka5 = DWConv(dim, kernel_size=5)
        self.sse = nn.Sequential(
            nn.Linear(dim, EXPANSION * dim), nn.ReLU(), nn.Linear(EXPANSION * dim, dim), nn.Sigmoid()
        )
        self.out = nn.Conv2d(dim, dim, 3, padding=1)
        # 3x3 and 5x5 masks alternate over the four segments of the channels.
        large = torch.arange(SEGMENTS).repeat_interleave(dim // SEGMENTS) % 2 == 1
        self.register_buffer("large", large[:, None, None], persistent=False)
        self.register_buffer("sign", 1.0 - 2.0 * large[:, None, None], persistent=False)

    def masks(self, f: Tensor) -> Tensor:
        """LKA: return the attention masks for the other stream, `(B, D, H, W)`.

        The softmax over the 3x3 and the 5x5 granularity gives two masks; of each channel the cross operator
        uses one, the 3x3 mask in even and the 5x5 mask in odd segments.
        """
        normed = self.norm(f)
        # The softmax over two maps is the sigmoid of their difference.
        difference: Tensor = self.lka3(normed) - self.lka5(normed)
        masks = difference.mul_(self.get_buffer("sign")).sigmoid_()
        if not self.training:
            return masks
        # Noise at the large scale is simulated by missing features.
        return torch.where(self.get_buffer("large"), F.dropout(masks, MASK_DROPOUT), masks)

    def forward(self, f: Tensor, other_masks: Tensor) -> Tensor:
        """Cross operator: excite the stream's segments, weigh them by the other's masks, add the residual."""
        v = spread(per_position(self.sse, pool_max(f, self.extent)), self.extent, f)
        return add_residual(f, self.out(f * other_masks * v))
