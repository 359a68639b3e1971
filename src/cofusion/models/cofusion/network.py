"""The CoFusion network (section 3.1, figure 1)."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from cofusion.models.base import FusionNetwork
from cofusion.models.cofusion.layers import ResidualBlock
from cofusion.models.cofusion.msg import MSG, resize
from cofusion.models.cofusion.spacam import SpaCAM
from cofusion.models.cofusion.specam import SpeCAM
from cofusion.models.cofusion.sscfm import SSCFM, CrossStream
from cofusion.sensors.decimation import upsample

Variant = Literal["full", "no_spacam", "no_specam", "no_sscfm"]

LEVELS = 3
# The coarsest level halves the full-resolution image twice, so its pixels are this wide.
_COARSEST = 2 ** (LEVELS - 1)
# Windows lie half an extent apart, and half of that is a whole number of pixels at the coarsest level.
_EXTENT_STEP = 4 * _COARSEST


class CoFusion(FusionNetwork):
    """Fuse a low-resolution hyperspectral and a high-resolution multispectral image.

    MSG builds local (from the HRMSI) and proxy (from the LRHSI) features at three levels. At each level a
    series of SpaCAM refines the local and a SpeCAM the proxy features, and an SSCFM lets the two refine each
    other. The levels are joined from coarse to fine, and the reconstruction head's output is added to the
    interpolated LRHSI.

    Where channels are weighed by pooled statistics, an image is pooled whole, as in the paper; the result of
    a tile then depends a little on the tile. With `pool_extent` it does not (see `pooling`).

    Any number of rows and columns is accepted; padding happens inside.

    Args:
        hsi_bands: Number of HSI bands C.
        msi_bands: Number of MSI bands c.
        scale: Ratio of the two resolutions, an integer of at least 2.
        dim: Width D of the features, divisible by 4; the paper's is 64.
        variant: `full`, or the ablation of Table 3 that puts one standard residual block per level in the
            place of a module: `no_spacam`, `no_specam`, `no_sscfm`.
        phase: Where an LR sample sits in its `scale` x `scale` block, in full-resolution pixels; the
            interpolated LRHSI is aligned by it. The paper's decimation keeps each block's first pixel: 0.
        spacam_depths: How many SpaCAM in series at full, half and quarter resolution.
        local_depths: Residual blocks of E_c, the encoders of MSG's local flow, at the same resolutions.
        proxy_depths: Residual blocks of E_c', those of its proxy flow.
        wavelet: Wavelet of SpeCAM, a name of PyWavelets; `haar` needs no filtering.
        pool_extent: Side of the windows in which statistics are pooled, in full-resolution pixels, a
            multiple of 16; best the side of the training crops. None pools whole images.

    Raises:
        ValueError: An argument lies outside its range.
    """

    multiple = _COARSEST

    def __init__(
        self,
        hsi_bands: int,
        msi_bands: int,
        scale: int,
        dim: int = 64,
        variant: Variant = "full",
        phase: float = 0.0,
        spacam_depths: Sequence[int] = (1, 1, 9),
        local_depths: Sequence[int] = (1, 1, 9),
        proxy_depths: Sequence[int] = (1, 1, 10),
        wavelet: str = "haar",
        pool_extent: int | None = None,
    ) -> None:
        super().__init__(hsi_bands, msi_bands, scale, phase)
        _check_arguments(dim, variant)
        _check_depths(spacam_depths, local_depths, proxy_depths)
        self.dim = dim
        self.variant = variant
        self.wavelet = wavelet
        self.spacam_depths = tuple(spacam_depths)
        self.local_depths = tuple(local_depths)
        self.proxy_depths = tuple(proxy_depths)
        self.msg = MSG(hsi_bands, msi_bands, scale, phase, dim, local_depths, proxy_depths)
        self.spacam = nn.ModuleList(
            ResidualBlock(dim) if variant == "no_spacam" else nn.Sequential(*(SpaCAM(dim) for _ in range(n)))
            for n in spacam_depths
        )
        self.specam = nn.ModuleList(
            ResidualBlock(dim)
            if variant == "no_specam"
            else SpeCAM(dim, coordinates=dim // 4, wavelet=wavelet)
            for _ in range(LEVELS)
        )
        self.sscfm = nn.ModuleList(
            SharedResidualBlock(dim) if variant == "no_sscfm" else SSCFM(dim) for _ in range(LEVELS)
        )
        self.join = nn.ModuleList(nn.Conv2d(2 * dim, dim, 1) for _ in range(LEVELS))
        self.head = nn.Sequential(
            nn.Conv2d(dim, dim, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(dim, hsi_bands, 3, padding=1),
        )
        self.pool_within(pool_extent)

    def pool_within(self, extent: int | None) -> None:
        """Set `pool_extent` of a network that exists.

        Args:
            extent: Side of the windows in full-resolution pixels; None pools whole images.

        Raises:
            ValueError: The extent is no positive multiple of 16.
        """
        if extent is not None and (extent < _EXTENT_STEP or extent % _EXTENT_STEP):
            raise ValueError(
                f"pool_extent must be None or a positive multiple of {_EXTENT_STEP}, got {extent}"
            )
        self.pool_extent = extent
        for level in range(LEVELS):
            for module in (*self.specam[level].modules(), *self.sscfm[level].modules()):
                if isinstance(module, SpeCAM | CrossStream):
                    module.extent = None if extent is None else extent // 2**level

    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Add the reconstructed detail to the interpolated LRHSI."""
        local, proxy = self.msg(lr_hsi, hr_msi)
        x: Tensor | None = None
        for level in reversed(range(LEVELS)):
            f_spa = self.spacam[level](local.pop())
            f_spe = self.specam[level](proxy.pop())
            f_spa, f_spe = self.sscfm[level](f_spa, f_spe)
            joined = self.join[level](torch.cat((f_spa, f_spe), 1))
            x = joined if x is None else joined.add_(resize(x, joined))
        return upsample(lr_hsi, self.scale, self.phase).add_(self.head(x))


class SharedResidualBlock(nn.Module):
    """What stands in SSCFM's place in the ablation: one residual block that refines each stream alone.

    Args:
        dim: Width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.block = ResidualBlock(dim)

    def forward(self, f_spa: Tensor, f_spe: Tensor) -> tuple[Tensor, Tensor]:
        """Map both streams `(B, D, H, W)` to the same shapes; they do not see each other."""
        return self.block(f_spa), self.block(f_spe)


def _check_arguments(dim: int, variant: str) -> None:
    if dim < 4 or dim % 4:
        raise ValueError(f"dim must be a positive multiple of 4, got {dim}")
    if variant not in get_args(Variant):
        raise ValueError(f"variant must be one of {', '.join(get_args(Variant))}, got {variant!r}")


def _check_depths(*depths: Sequence[int]) -> None:
    for depth in depths:
        if len(depth) != LEVELS or min(depth) < 1:
            raise ValueError(f"depths need {LEVELS} numbers of at least 1 (full, half, quarter), got {depth}")
