"""Building blocks that several modules of the network share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Residual branches are scaled down (Lim et al., EDSR, 2017): without it, a series of 15 blocks diverges at
# learning rates above 4e-4.
RESIDUAL_SCALE = 0.1


def add_residual(x: Tensor, residual: Tensor) -> Tensor:
    """Return `x + 0.1 residual` in one pass over memory."""
    return torch.add(x, residual, alpha=RESIDUAL_SCALE)


class DWConv(nn.Sequential):
    """Depthwise separable convolution: one filter per channel, then a 1x1 mix. Keeps the size.

    Args:
        dim: Number of channels D, in and out.
        kernel_size: Side of the depthwise filter, odd.
        dilation: Spacing of its taps.
    """

    def __init__(self, dim: int, kernel_size: int = 3, dilation: int = 1) -> None:
        padding = dilation * (kernel_size // 2)
        super().__init__(
            nn.Conv2d(dim, dim, kernel_size, padding=padding, dilation=dilation, groups=dim),
            nn.Conv2d(dim, dim, 1),
        )


class ResidualBlock(nn.Module):
    """The standard residual block, `x + 0.1 conv(relu(conv(x)))` with 3x3 filters.

    It encodes the pyramid's features and stands in for a module that an ablation removes (section 4.5).
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, D, H, W)` to the same shape."""
        return add_residual(x, self.conv2(F.relu(self.conv1(x), inplace=True)))


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel of `(B, D, H, W)`."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every pixel's channel vector; the shape stays."""
        # In channels_last memory the permutations are views.
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
