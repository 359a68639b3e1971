"""The residual levels of MHF-net, normalised by the statistics of what they are given."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# How much wider a level is inside.
EXTRA = 3
GAIN, GUIDED_GAIN = 1 / 20, 1 / 100
STD = 0.1


class Level(nn.Module):
    """Three 3x3 convolutions, each normalised and followed by ReLU, added to the input.

    Args:
        bands: Number of bands n.
        guide_bands: Number of bands that guide it; then it starts out five times weaker.
    """

    def __init__(self, bands: int, guide_bands: int = 0) -> None:
        super().__init__()
        inside = bands + guide_bands + EXTRA
        gain = GUIDED_GAIN if guide_bands else GAIN
        self.body = nn.Sequential(
            NormalisedConv(bands + guide_bands, inside, gain),
            NormalisedConv(inside, inside, gain),
            NormalisedConv(inside, bands, gain),
        )

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Map `x (B, n, H, W)`, led by `guide (B, guide_bands, H, W)`, to the shape of `x`."""
        refined: Tensor = x + self.body(x if guide is None else torch.cat((x, guide), 1))
        return refined


class Levels(nn.Sequential):
    """Levels without a guide, one after the other.

    Args:
        bands: Number of bands n.
        count: How many.
    """

    def __init__(self, bands: int, count: int) -> None:
        super().__init__(*(Level(bands) for _ in range(count)))


class NormalisedConv(nn.Module):
    """A 3x3 convolution, normalisation by the statistics of its output, and ReLU.

    Statistics are those of the batch in training and of every image alone in evaluation; none are kept.

    Args:
        inputs: Number of channels before.
        outputs: Number of channels after.
        gain: What the normalised channels are multiplied by at the start.
    """

    def __init__(self, inputs: int, outputs: int, gain: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        nn.init.trunc_normal_(self.conv.weight, std=STD, a=-2 * STD, b=2 * STD)
        self.weight = nn.Parameter(torch.full((outputs,), gain))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, inputs, H, W)` to `(B, outputs, H, W)`."""
        x = self.conv(x)
        if self.training:
            x = F.batch_norm(x, None, None, self.weight, self.bias, training=True)
        else:
            x = F.instance_norm(x, weight=self.weight, bias=self.bias)
        return F.relu(x, inplace=True)
