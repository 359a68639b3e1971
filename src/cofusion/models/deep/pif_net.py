"""PIF-Net, fusion guided by an ill-posedness prior (Li, Wang and Xu, AAAI 2026; arXiv 2508.00453)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cofusion.models.base import FusionNetwork
from cofusion.models.deep.deform import deform_conv
from cofusion.models.deep.vmamba import VMamba
from cofusion.sensors.decimation import upsample

BLOCKS = 4
# Factor of the low-rank branch by which the prior enters a spatial block.
BRANCH = 0.1
SE_REDUCTION = 4
TAPS = 9


class PIFNet(FusionNetwork):
    """Couple the wavelet bands of the LRHSI's features reversibly, then refine them under a prior.

    Features of the interpolated LRHSI, in Haar bands, pass four invertible coupling blocks. Back at full
    resolution, four spatial blocks, led by a prior made of the difference of both images' features, alternate
    with four alignment blocks of deformable convolutions. The head sees the features of the HRMSI again; it
    gives the result itself, not a difference to the interpolated LRHSI.

    The published code lacks the file of its scan, VMamba; here it is that of the same author's sibling code.
    As in the code, and other than in the paper, the prior is not multiplied by the range of the channels.
    Normalisations and frozen projections that the code builds and never uses are left out: of about 1.63
    million numbers at 103 and 4 bands, 1,606,935 remain. Any scale and any number of rows and columns are
    accepted.

    Args:
        hsi_bands: Number of HSI bands C.
        msi_bands: Number of MSI bands c.
        scale: Ratio of the two resolutions, an integer of at least 2.
        phase: Where an LR sample sits in its `scale` x `scale` block, in full-resolution pixels.
        dim: Width D of the features, a multiple of 4.

    Raises:
        ValueError: An argument lies outside its range.
    """

    multiple = 2

    def __init__(self, hsi_bands: int, msi_bands: int, scale: int, phase: float = 0.0, dim: int = 64) -> None:
        super().__init__(hsi_bands, msi_bands, scale, phase)
        if dim < SE_REDUCTION or dim % SE_REDUCTION:
            raise ValueError(f"dim must be a positive multiple of {SE_REDUCTION}, got {dim}")
        self.dim = dim
        self.embed_hsi = _head(hsi_bands, dim)
        self.embed_msi = _head(msi_bands, dim)
        self.prior = nn.Conv2d(dim, dim, 3, padding=1)
        self.narrow = nn.Conv2d(3 * dim, dim, 1)
        self.couplings = nn.ModuleList(Coupling(dim) for _ in range(BLOCKS))
        self.widen = nn.Conv2d(dim, 3 * dim, 1)
        self.spatial = nn.ModuleList(SpatialBlock(dim) for _ in range(BLOCKS))
        self.align = nn.ModuleList(AlignmentBlock(dim) for _ in range(BLOCKS))
        self.head = _head(2 * dim, hsi_bands)

    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Fuse images of even H and W."""
        features = self.embed_hsi(upsample(lr_hsi, self.scale, self.phase))
        guide = self.embed_msi(hr_msi)
        prior = F.relu(self.prior(features - guide))
        low, high = haar(features)
        high = self.narrow(high)
        for coupling in self.couplings:
            low, high = coupling(low, high)
        features = unhaar(low, self.widen(high))
        for spatial, align in zip(self.spatial, self.align, strict=True):
            features = align(spatial(features, prior))
        fused: Tensor = self.head(torch.cat((features, guide), 1))
        return fused


class Coupling(nn.Module):
    """An invertible step: `high + phi(low)`, then `low * exp(rho(high)) + eta(high)`.

    Args:
        dim: Width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.phi = VMamba(dim)
        self.rho = VMamba(dim)
        self.eta = VMamba(dim)

    def forward(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Map the two, each `(B, D, H, W)`, to new ones of the same shape."""
        high = high + self.phi(low)
        return low * self.rho(high).exp() + self.eta(high), high


class SpatialBlock(nn.Module):
    """Twice large-kernel attention plus channel weights, with the same filters; the prior joins the second.

    Args:
        dim: Width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(dim, dim, 1)
        self.between = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.Conv2d(dim, dim, 1))
        self.leave = nn.Conv2d(dim, dim, 1)
        self.large_kernel = nn.Sequential(
            nn.Conv2d(dim, dim, 5, padding=2, groups=dim),
            nn.Conv2d(dim, dim, 7, padding=9, dilation=3, groups=dim),
            nn.Conv2d(dim, dim, 1),
        )
        self.channels = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(dim, dim // SE_REDUCTION, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(dim // SE_REDUCTION, dim, 1),
            nn.Sigmoid(),
        )
        first, second = (nn.Conv2d(dim, dim, 1, bias=False) for _ in range(2))
        nn.init.kaiming_uniform_(first.weight)
        nn.init.zeros_(second.weight)
        self.branch = nn.Sequential(first, second)

    def forward(self, x: Tensor, prior: Tensor) -> Tensor:
        """Map `x (B, D, H, W)`, led by `prior` of the same shape, to that shape."""
        inner = self.enter(x)
        inner = self.between(self._attend(inner, inner))
        inner = self._attend(inner, inner + prior) + BRANCH * self.branch(prior)
        refined: Tensor = x + self.leave(inner)
        return refined

    def _attend(self, x: Tensor, weighed: Tensor) -> Tensor:
        attended: Tensor = x * self.large_kernel(x) + weighed * self.channels(weighed)
        return attended


class AlignmentBlock(nn.Module):
    """Two deformable 3x3 convolutions, a ReLU between them.

    Args:
        dim: Width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first = DeformableConv(dim)
        self.second = DeformableConv(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, D, H, W)` to the same shape."""
        aligned: Tensor = self.second(F.relu(self.first(x), inplace=True))
        return aligned


class DeformableConv(nn.Module):
    """A 3x3 convolution whose taps move as another one tells.

    Args:
        dim: Width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.offsets = nn.Conv2d(dim, 2 * TAPS, 3, padding=1)
        # It only holds the filters.
        self.conv = nn.Conv2d(dim, dim, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, D, H, W)` to the same shape."""
        return deform_conv(x, self.offsets(x), self.conv.weight, self.conv.bias)


def haar(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means and the three details of 2x2 blocks, orthonormal.

    Args:
        x: `(B, D, H, W)`, H and W even.

    Returns:
        `(B, D, H/2, W/2)`, and `(B, 3 D, H/2, W/2)`: right less left, down less up, diagonal.
    """
    a, b, c, d = x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]
    high = torch.cat((c + d - a - b, b + d - a - c, a + d - b - c), 1)
    return (a + b + c + d) / 2, high / 2


def unhaar(low: Tensor, high: Tensor) -> Tensor:
    """Undo `haar`."""
    right, down, diagonal = high.chunk(3, 1)
    a, b = low - right - down + diagonal, low - right + down - diagonal
    c, d = low + right - down - diagonal, low + right + down + diagonal
    return F.pixel_shuffle(torch.stack((a, c, b, d), 2).flatten(1, 2), 2) / 2


def _head(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1),
    )
