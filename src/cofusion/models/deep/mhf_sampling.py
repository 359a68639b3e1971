"""The learned ways of MHF-net from full to low resolution and back, in steps of 4, of 2 and an odd one."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def factors(scale: int) -> list[int]:
    """Return the steps of the way down: as many fours as there are, then a two, then the odd rest."""
    steps = []
    for factor in (4, 2):
        while scale % factor == 0:
            steps.append(factor)
            scale //= factor
    return steps + ([scale] if scale > 1 else [])


class Down(nn.Module):
    """Blur every band with the same learned filter and keep one pixel of every block.

    The filter starts as a mean, of 6x6 pixels in a step of 4 and of 3x3 in a step of 2. Kept are the second
    row and column of a block of 4, and the first of one of 2. Beyond the border there are zeros.

    Args:
        step: Factor k.
    """

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step
        side = step + step // 2
        self.weight = nn.Parameter(torch.full((1, 1, side, side), 1 / side**2))
        # How far the filter reaches before the first pixel of a block, and after its last.
        before = (side - 1) // 2 - (step - 1) // 2
        after = side - step - before
        self.margin = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, n, k H, k W)` to `(B, n, H, W)`."""
        bands = x.shape[1]
        return F.conv2d(
            F.pad(x, self.margin), self.weight.expand(bands, -1, -1, -1), stride=self.step, groups=bands
        )


class Up(nn.Sequential):
    """Transposed 3x3 convolutions, two of stride 2 in a step of 4.

    Args:
        bands: Number of bands n.
        step: Factor k.
    """

    def __init__(self, bands: int, step: int) -> None:
        super().__init__(*(TransposedConv(bands, stride) for stride in ((2, 2) if step == 4 else (step,))))


class TransposedConv(nn.Module):
    """Spread every pixel over its block and, in a step of 2, one pixel further; it starts as 1/4 everywhere.

    Args:
        bands: Number of bands n.
        stride: Factor k.
    """

    def __init__(self, bands: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        side = max(3, stride)
        start = torch.eye(bands)[:, :, None, None] / 4
        self.weight = nn.Parameter(start.repeat(1, 1, side, side))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, n, H, W)` to `(B, n, k H, k W)`."""
        rows, cols = (size * self.stride for size in x.shape[2:])
        return F.conv_transpose2d(x, self.weight, stride=self.stride)[..., :rows, :cols]
