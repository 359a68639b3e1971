"""HSRnet, spatio-spectral attention at two scales (Hu et al., IEEE TNNLS 2022)."""

import math

import torch
from torch import Tensor, nn

from cofusion.models.base import FusionNetwork
from cofusion.sensors.decimation import upsample

WIDTH = 64
BLOCKS = 6
# Side of the filters that look at the HRMSI alone.
SIDE = 6
SLOPE = 0.2


class HSRnet(FusionNetwork):
    """Add to the interpolated LRHSI what two resolutions tell, weighed by pixel and by band.

    A strided convolution of the HRMSI joins the LRHSI; both are brought to full resolution by a convolution
    and pixel shuffle, join the HRMSI there and pass six residual blocks. The result is weighed by a spatial
    attention, made of the HRMSI, before the last convolution, and by a channel attention, made of the band
    means of the LRHSI, after it. As that pools the whole image, the result of a tile depends on the tile.

    The code's fixed scale 4 is generalised by the stride and by shuffling `C * scale^2` channels. It
    interleaves the bands of both images; here they are concatenated, which only permutes weights. A
    convolution that the code builds and never uses (37 numbers) is left out. Any number of rows and columns
    is accepted.

    Args:
        hsi_bands: Number of HSI bands C.
        msi_bands: Number of MSI bands c.
        scale: Ratio of the two resolutions, an integer of at least 2.
        phase: Where an LR sample sits in its `scale` x `scale` block, in full-resolution pixels.

    Raises:
        ValueError: An argument lies outside its range.
    """

    multiple = 1

    def __init__(self, hsi_bands: int, msi_bands: int, scale: int, phase: float = 0.0) -> None:
        super().__init__(hsi_bands, msi_bands, scale, phase)
        bands = hsi_bands + msi_bands
        by_band = nn.Conv2d(1, hsi_bands, 1)
        self.channel_attention = nn.Sequential(
            nn.Conv2d(hsi_bands, 1, 1), nn.LeakyReLU(SLOPE), by_band, nn.Sigmoid()
        )
        self.spatial_attention = nn.Sequential(_same(SIDE, 1), nn.Conv2d(1, 1, SIDE), nn.Sigmoid())
        self.down_msi = nn.Sequential(_same(SIDE, scale), nn.Conv2d(msi_bands, msi_bands, SIDE, stride=scale))
        self.upsampler = nn.Sequential(
            nn.Conv2d(bands, hsi_bands * scale**2, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.PixelShuffle(scale),
        )
        self.embed = nn.Sequential(nn.Conv2d(bands, WIDTH, 3, padding=1), nn.LeakyReLU(SLOPE, inplace=True))
        self.blocks = nn.Sequential(*(ResBlock(WIDTH) for _ in range(BLOCKS)))
        self.head = nn.Conv2d(WIDTH, hsi_bands, 3, padding=1)
        self.apply(_initialise)
        nn.init.normal_(by_band.weight)

    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Fuse images of any H and W."""
        by_band = self.channel_attention(lr_hsi.mean((2, 3), keepdim=True))
        by_pixel = self.spatial_attention(hr_msi.mean(1, keepdim=True))
        fine = self.upsampler(torch.cat((lr_hsi, self.down_msi(hr_msi)), 1))
        features = self.blocks(self.embed(torch.cat((fine, hr_msi), 1)))
        detail: Tensor = by_band * self.head(by_pixel * features)
        return upsample(lr_hsi, self.scale, self.phase) + detail


class ResBlock(nn.Module):
    """`x + conv(act(conv(x)))` with 3x3 filters.

    Args:
        dim: Width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(dim, dim, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(dim, dim, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, D, H, W)` to the same shape."""
        refined: Tensor = x + self.body(x)
        return refined


def _same(side: int, stride: int) -> nn.ZeroPad2d:
    """Return the zeros of TensorFlow's `SAME` for sizes that the stride divides: the odd one at the end."""
    total = max(side - stride, 0)
    before = total // 2
    return nn.ZeroPad2d((before, total - before, before, total - before))


def _initialise(module: nn.Module) -> None:
    """Truncated normal of variance `2 / fan_in`, no bias: TensorFlow's variance scaling, as published."""
    if isinstance(module, nn.Conv2d):
        fan_in = module.weight[0].numel()
        # What the truncation at two deviations takes away, 1.3 gives back.
        std = math.sqrt(1.3 * 2 / fan_in)
        nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
