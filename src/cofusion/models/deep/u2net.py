"""U2Net, the double U-Net with spatial-spectral integration (Peng et al., ACM Multimedia 2023)."""

import torch.nn.functional as F
from torch import Tensor, nn

from cofusion.models.base import FusionNetwork

HEAD_DIM = 16


class U2Net(FusionNetwork):
    """Run a spectral and a spatial stream through a U-Net of three levels and integrate them at each step.

    The LRHSI is upsampled by a learned convolution and pixel shuffle; the network's residual is added to the
    result. There is no interpolated base image, hence no phase. S2 blocks let the spatial stream guide the
    spectral one. Their attention runs over all pixels: time grows with the square of their number, memory
    does not. The authors fuse tiles of 64 x 64 that overlap by 4.

    The code's fixed scale 4 is generalised: the upsampler makes `C * scale^2` channels to shuffle. Any number
    of rows and columns is accepted. Branches that the published code declares and never uses are left out.

    Args:
        hsi_bands: Number of HSI bands C.
        msi_bands: Number of MSI bands c.
        scale: Ratio of the two resolutions, an integer of at least 2.
        dim: Width at full resolution, a multiple of 16; it doubles at half and at quarter resolution.
        shared_weights: Whether both streams go down and up through the same layers, as in the published code;
            False gives each stream its own.

    Raises:
        ValueError: An argument lies outside its range.
    """

    multiple = 4

    def __init__(
        self, hsi_bands: int, msi_bands: int, scale: int, dim: int = 32, shared_weights: bool = True
    ) -> None:
        super().__init__(hsi_bands, msi_bands, scale)
        if dim < HEAD_DIM or dim % HEAD_DIM:
            raise ValueError(f"dim must be a positive multiple of {HEAD_DIM}, got {dim}")
        self.dim = dim
        self.shared_weights = shared_weights
        self.upsampler = nn.Sequential(
            nn.Conv2d(hsi_bands, hsi_bands * scale**2, 3, padding=1, bias=False), nn.PixelShuffle(scale)
        )
        self.embed_hsi = _conv_act(hsi_bands, dim)
        self.embed_msi = _conv_act(msi_bands, dim)
        widths = (dim, 2 * dim, 4 * dim, 2 * dim, dim)
        self.s2 = nn.ModuleList(S2Block(width) for width in widths)
        self.res = nn.ModuleList(ResBlock(width) for width in widths[:-1])
        # Two layers for both streams, or two for the spectral stream and two for the spatial one.
        streams = 1 if shared_weights else 2
        self.downs = nn.ModuleList(_down(width, 2 * width) for width in (dim, 2 * dim) * streams)
        self.ups = nn.ModuleList(Up(2 * width, width) for width in (2 * dim, dim) * streams)
        self.head = nn.Sequential(*_conv_act(dim, dim), nn.Conv2d(dim, hsi_bands, 3, padding=1))

    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Fuse images whose H and W are divisible by 4."""
        base: Tensor = self.upsampler(lr_hsi)
        x, y = self.embed_hsi(base), self.embed_msi(hr_msi)
        skips: list[tuple[Tensor, Tensor]] = []
        # The spatial stream's layers are the last two, whether they are its own or shared.
        for level in (0, 1):
            x, y = self.s2[level](x, y), self.res[level](y)
            skips.append((x, y))
            x, y = self.downs[level](x), self.downs[level - 2](y)
        for level in (2, 3):
            x, y = self.s2[level](x, y), self.res[level](y)
            skip_x, skip_y = skips.pop()
            x, y = self.ups[level - 2](x, skip_x), self.ups[level - 4](y, skip_y)
        residual: Tensor = self.head(self.s2[-1](x, y))
        return base + residual


class S2Block(nn.Module):
    """Integrate the spatial stream into the spectral one, by a spatial and a spectral attention map.

    In each head of 16 channels, with `x1, x2` and `y1, y2` linear maps of the normalised streams
    `(n = H W, 16)`: `A = softmax(y1 y2^T / 4)`, `(n, n)`, relates pixels by the spatial stream;
    `E = softmax(x1^T x2 / (4 n / 16))`, `(16, 16)`, relates channels by the spectral stream; the head's
    output is `(A x1) * (y1 E)`, element by element.

    Args:
        dim: Width D, a multiple of 16.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        # x1 and x2 side by side, and y1 and y2.
        self.maps_x = nn.Linear(dim, 2 * dim, bias=False)
        self.maps_y = nn.Linear(dim, 2 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, dim // 2), nn.LeakyReLU(inplace=True), nn.Linear(dim // 2, dim)
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map the streams `x` and `y`, each `(B, D, H, W)`, to the new `x` of the same shape."""
        tokens = _tokens(x)
        tokens = tokens + self.proj(self.integrate(self.norm(tokens), self.norm(_tokens(y))))
        refined: Tensor = tokens + self.mlp(self.norm_mlp(tokens))
        return refined.transpose(1, 2).reshape(x.shape)

    def integrate(self, x: Tensor, y: Tensor) -> Tensor:
        """Return `(A x1) * (y1 E)` of all heads side by side, `(B, n, D)`, of normalised tokens."""
        x1, x2 = _heads(self.maps_x(x))
        y1, y2 = _heads(self.maps_y(y))
        spatial = F.scaled_dot_product_attention(y1, y2, x1)
        logits = x1.transpose(2, 3) @ x2
        spectral = y1 @ (logits * (HEAD_DIM**0.5 / x.shape[1])).softmax(3)
        integrated: Tensor = (spatial * spectral).transpose(1, 2).flatten(2)
        return integrated


class ResBlock(nn.Module):
    """`x + conv(act(conv(x)))` with 3x3 filters and half the width in between.

    Args:
        dim: Width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_conv_act(dim, dim // 2), nn.Conv2d(dim // 2, dim, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, D, H, W)` to the same shape."""
        refined: Tensor = x + self.body(x)
        return refined


class Up(nn.Module):
    """Double the resolution and add a skip connection.

    Args:
        inputs: Width before.
        outputs: Width after.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 2, stride=2), nn.LeakyReLU(inplace=True))
        self.merge = _conv_act(outputs, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map `(B, inputs, H, W)` and `skip (B, outputs, 2H, 2W)` to the shape of `skip`."""
        merged: Tensor = self.merge(self.up(x) + skip)
        return merged


def _down(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 2, stride=2),
        nn.LeakyReLU(inplace=True),
        nn.Conv2d(inputs, outputs, 1),
        nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs),
        nn.LeakyReLU(inplace=True),
    )


def _conv_act(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.LeakyReLU(inplace=True))


def _tokens(x: Tensor) -> Tensor:
    """Return `(B, H W, D)`, a view where `(B, D, H, W)` lies in channels_last memory."""
    return x.flatten(2).transpose(1, 2)


def _heads(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Split `(B, n, 2 D)` into its two maps, each `(B, heads, n, 16)`."""
    first, second = maps.reshape(*maps.shape[:2], 2, -1, HEAD_DIM).permute(2, 0, 3, 1, 4)
    return first, second
