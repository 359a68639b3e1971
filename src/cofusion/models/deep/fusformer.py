"""Fusformer, a transformer whose tokens are all pixels (Hu et al., IEEE GRSL 2022)."""

import torch
from torch import Tensor, nn

from cofusion.models.base import FusionNetwork
from cofusion.models.deep.windows import self_attention
from cofusion.sensors.decimation import upsample

WIDTH = 48
HEADS = 3
LAYERS = 2


class Fusformer(FusionNetwork):
    """Add to the interpolated LRHSI what attention among all pixels makes of it and the HRMSI.

    Every full-resolution pixel is a token, made of its interpolated LRHSI and its HRMSI bands. Two encoder
    layers of one attention and two decoder layers of two attentions follow each other, each layer ending in
    a feed-forward network. Attention goes over all pixels: time grows with the square of their number,
    memory does not. The authors fuse tiles of 64 x 64.

    The published code declares position tables for 64 x 64 pixels, two of 4096 x 48 numbers, and never adds
    them; they are left out. The code's fixed scale 4 is generalised to any scale by the interpolated LRHSI,
    the only place where the scale enters. Any number of rows and columns is accepted.

    Args:
        hsi_bands: Number of HSI bands C.
        msi_bands: Number of MSI bands c.
        scale: Ratio of the two resolutions, an integer of at least 2.
        phase: Where an LR sample sits in its `scale` x `scale` block, in full-resolution pixels.
        clamp_output: Whether the result is clamped to [0, 1], as in the published code, in training too,
            where what lies outside then receives no gradient. The interpolated LRHSI is always clamped.

    Raises:
        ValueError: An argument lies outside its range.
    """

    multiple = 1

    def __init__(
        self, hsi_bands: int, msi_bands: int, scale: int, phase: float = 0.0, clamp_output: bool = True
    ) -> None:
        super().__init__(hsi_bands, msi_bands, scale, phase)
        self.clamp_output = clamp_output
        self.embed = nn.Linear(hsi_bands + msi_bands, WIDTH)
        encoder = [layer for _ in range(LAYERS) for layer in (Attention(), FeedForward())]
        decoder = [layer for _ in range(LAYERS) for layer in (Attention(), Attention(), FeedForward())]
        self.layers = nn.Sequential(*encoder, *decoder)
        self.head = nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.LeakyReLU(inplace=True),
            nn.Conv2d(WIDTH, hsi_bands, 3, padding=1),
        )

    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Fuse images of any H and W."""
        base = upsample(lr_hsi, self.scale, self.phase).clamp(0, 1)
        pixels = torch.cat((base, hr_msi), 1).permute(0, 2, 3, 1)
        tokens = self.layers(self.embed(pixels.flatten(1, 2)))
        fused: Tensor = base + self.head(tokens.unflatten(1, pixels.shape[1:3]).permute(0, 3, 1, 2))
        return fused.clamp(0, 1) if self.clamp_output else fused


class Attention(nn.Module):
    """`x + attention(norm(x))` with three heads over all tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, tokens, 48)` to the same shape."""
        refined: Tensor = x + self.proj(self_attention(self.qkv(self.norm(x)), HEADS))
        return refined


class FeedForward(nn.Module):
    """`x + linear(act(linear(norm(x))))`, every token alone."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.LayerNorm(WIDTH),
            nn.Linear(WIDTH, WIDTH),
            nn.LeakyReLU(inplace=True),
            nn.Linear(WIDTH, WIDTH),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, tokens, 48)` to the same shape."""
        refined: Tensor = x + self.body(x)
        return refined
