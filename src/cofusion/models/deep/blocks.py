"""Parts that the `-style` networks share."""

from torch import Tensor, nn

# What a residual is multiplied by.
RESIDUAL = 0.1
# The hidden layer of a channel gate is this many times narrower.
SQUEEZE = 4


class ResBlock(nn.Module):
    """`x + 0.1 conv(GELU(conv(x)))` with 3x3 filters.

    The factor keeps deep networks without normalisation trainable (EDSR, Lim et al., CVPRW 2017).

    Args:
        dim: Width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(dim, dim), nn.GELU(), conv(dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, D, H, W)` to the same shape."""
        refined: Tensor = x + RESIDUAL * self.body(x)
        return refined


def channel_gate(dim: int) -> nn.Sequential:
    """Weights in (0, 1) for the D channels of `(B, D, H, W)`, as `(B, D, 1, 1)`, by their means."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(dim, dim // SQUEEZE, 1),
        nn.GELU(),
        nn.Conv2d(dim // SQUEEZE, dim, 1),
        nn.Sigmoid(),
    )


def conv(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)
