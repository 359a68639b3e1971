"""SpaCAM, the spatial branch (section 3.3, equations 2 and 3)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cofusion.models.cofusion.layers import add_residual

DILATIONS = (1, 2, 4)


class SpaCAM(nn.Module):
    """Refine spatial features under three dilations, each gated by a Gated Spatial Block (GSB).

    With P = MaxPool(F) of 3x3 at stride 1, equation 2 is `D_j = DWConv_{3x3,d}(P)`, d = 1, 2, 4, and
    equation 3 is `F_j = Softmax(D_j) * GELU(DWConv_j(F)) + F`. The softmax runs over the three dilations at
    every pixel and channel, so the gate selects a receptive field and does not depend on the image's size.
    The three GSB outputs are concatenated, merged by a 3x3 convolution and added to F.

    The three blocks are computed side by side, as groups of channels of one tensor. Their value convolutions
    share the input F; with the 1x1 in front of the depthwise filters, the three 1x1 are one convolution.

    Args:
        dim: Width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        blocks = len(DILATIONS)
        self.contexts = nn.ModuleList(
            nn.Conv2d(dim, dim, 3, padding=d, dilation=d, groups=dim) for d in DILATIONS
        )
        self.mix_contexts = nn.Conv2d(blocks * dim, blocks * dim, 1, groups=blocks)
        self.values = nn.Sequential(
            nn.Conv2d(dim, blocks * dim, 1),
            nn.Conv2d(blocks * dim, blocks * dim, 3, padding=1, groups=blocks * dim),
            nn.GELU(),
        )
        self.merge = nn.Conv2d(blocks * dim, dim, 3, padding=1)

    def forward(self, f_spa: Tensor) -> Tensor:
        """Map `F_spa^i (B, D, H, W)` to `F_spa^{i+1}` of the same shape."""
        p = F.max_pool2d(f_spa, 3, stride=1, padding=1)
        d = self.mix_contexts(torch.cat([context(p) for context in self.contexts], 1))
        value = by_dilation(self.values(f_spa))
        gsb = torch.addcmul(f_spa.permute(0, 2, 3, 1).unsqueeze(3), self.gate(d), value)
        return add_residual(f_spa, self.merge(gsb.flatten(3).permute(0, 3, 1, 2)))

    def gate(self, d: Tensor) -> Tensor:
        """Map `D_1, D_2, D_4`, side by side in `(B, 3D, H, W)`, to gates `(B, H, W, 3, D)`.

        At every pixel and channel the three gates add up to 1.
        """
        return by_dilation(d).softmax(3)


def by_dilation(maps: Tensor) -> Tensor:
    """View the maps of the three dilations, `(B, 3D, H, W)`, as `(B, H, W, 3, D)`.

    Channels are last in memory, so nothing moves.
    """
    return torch.unflatten(maps.permute(0, 2, 3, 1), 3, (len(DILATIONS), -1))
