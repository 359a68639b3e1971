"""SpaCAM, the spatial branch (section 3.3, equations 2 and 3)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cofusion.models.cofusion.layers import RESIDUAL_SCALE, DWConv

DILATIONS = (1, 2, 4)


class SpaCAM(nn.Module):
    """Refine spatial features under three dilations, each gated by a Gated Spatial Block (GSB).

    With P = MaxPool(F) of 3x3 at stride 1, equation 2 is `D_j = DWConv_{3x3,d}(P)`, d = 1, 2, 4, and
    equation 3 is `F_j = Softmax(D_j) * GELU(DWConv_j(F)) + F`. The softmax runs over the three dilations at
    every pixel and channel, so the gate selects a receptive field and does not depend on the image's size.
    The three GSB outputs are concatenated, merged by a 3x3 convolution and added to F.

    Args:
        dim: Width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.contexts = nn.ModuleList(DWConv(dim, dilation=d) for d in DILATIONS)
        self.values = nn.ModuleList(DWConv(dim) for _ in DILATIONS)
        self.merge = nn.Conv2d(len(DILATIONS) * dim, dim, 3, padding=1)

    def forward(self, f_spa: Tensor) -> Tensor:
        """Map `F_spa^i (B, D, H, W)` to `F_spa^{i+1}` of the same shape."""
        pooled = F.max_pool2d(f_spa, 3, stride=1, padding=1)
        gates = softmax_over([context(pooled) for context in self.contexts])
        gsb = [gate * F.gelu(value(f_spa)) + f_spa for gate, value in zip(gates, self.values, strict=True)]
        merged: Tensor = self.merge(torch.cat(gsb, 1))
        return f_spa + RESIDUAL_SCALE * merged


def softmax_over(maps: list[Tensor]) -> list[Tensor]:
    """Return the softmax over the maps of a list, at every position of every map.

    Written with elementwise operations: a softmax over a short outer axis walks memory in long strides.
    """
    largest = torch.stack([m.detach() for m in maps]).amax(0)
    weights = [torch.exp(m - largest) for m in maps]
    total = sum(weights[1:], weights[0])
    return [w / total for w in weights]
