"""The CoFusion network (section 3.1, figure 1)."""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cofusion.models.cofusion.layers import ResidualBlock
from cofusion.models.cofusion.msg import MSG, resize
from cofusion.models.cofusion.spacam import SpaCAM
from cofusion.models.cofusion.specam import SpeCAM
from cofusion.models.cofusion.sscfm import SSCFM
from cofusion.models.shapes import check_pair
from cofusion.sensors.decimation import upsample

Variant = Literal["full", "no_spacam", "no_specam", "no_sscfm"]

LEVELS = 3
# The coarsest level halves the full-resolution image twice.
_COARSEST = 2 ** (LEVELS - 1)


class CoFusion(nn.Module):
    """Fuse a low-resolution hyperspectral and a high-resolution multispectral image.

    MSG builds local (from the HRMSI) and proxy (from the LRHSI) features at three levels. At each level a
    series of SpaCAM refines the local and a SpeCAM the proxy features, and an SSCFM lets the two refine each
    other. The levels are joined from coarse to fine, and the reconstruction head's output is added to the
    interpolated LRHSI.

    Any number of rows and columns is accepted; padding happens inside.

    Args:
        hsi_bands: Number of HSI bands C.
        msi_bands: Number of MSI bands c.
        scale: Ratio of the two resolutions, an integer of at least 2.
        dim: Width D of the features, divisible by 4; the paper's is 64.
        variant: `full`, or the ablation of Table 3 that puts standard residual blocks in the place of a
            module: `no_spacam`, `no_specam`, `no_sscfm`.
        phase: Where an LR sample sits in its `scale` x `scale` block, in full-resolution pixels; the
            interpolated LRHSI is aligned by it. The paper's decimation keeps each block's first pixel: 0.
        spacam_depths: How many SpaCAM in series at full, half and quarter resolution.
        encoder_depths: Residual blocks of each MSG encoder at full, half and quarter resolution.

    Raises:
        ValueError: An argument lies outside its range.
    """

    def __init__(
        self,
        hsi_bands: int,
        msi_bands: int,
        scale: int,
        dim: int = 64,
        variant: Variant = "full",
        phase: float = 0.0,
        spacam_depths: Sequence[int] = (1, 4, 15),
        encoder_depths: Sequence[int] = (1, 1, 1),
    ) -> None:
        super().__init__()
        _check_arguments(hsi_bands, msi_bands, scale, dim, variant, phase)
        _check_depths(spacam_depths, encoder_depths)
        self.hsi_bands = hsi_bands
        self.msi_bands = msi_bands
        self.scale = scale
        self.dim = dim
        self.variant = variant
        self.phase = phase
        self.spacam_depths = tuple(spacam_depths)
        self.encoder_depths = tuple(encoder_depths)
        self.msg = MSG(hsi_bands, msi_bands, dim, encoder_depths)
        spacam = ResidualBlock if variant == "no_spacam" else SpaCAM
        self.spacam = nn.ModuleList(nn.Sequential(*(spacam(dim) for _ in range(n))) for n in spacam_depths)
        self.specam = nn.ModuleList(
            ResidualBlock(dim) if variant == "no_specam" else SpeCAM(dim, coordinates=dim // 4)
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

    def forward(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Fuse a batch.

        Args:
            lr_hsi: LRHSI X, `(B, C, h, w)`, in [0, 1].
            hr_msi: HRMSI Y, `(B, c, H, W)` with `H = scale * h` and `W = scale * w`, in [0, 1].

        Returns:
            HRHSI Z, `(B, C, H, W)`; not clipped.

        Raises:
            ValueError: The shapes do not belong together or to this network.
        """
        check_pair(lr_hsi, hr_msi, self.scale, self.hsi_bands, self.msi_bands)
        base = upsample(lr_hsi, self.scale, self.phase)
        rows, cols = hr_msi.shape[-2:]
        return base + self._residual(*self._pad(lr_hsi, hr_msi))[..., :rows, :cols]

    def _pad(self, lr_hsi: Tensor, hr_msi: Tensor) -> tuple[Tensor, Tensor]:
        """Replicate the last rows and columns of both images until the coarsest level's grid fits both."""
        multiple = _COARSEST // math.gcd(_COARSEST, self.scale)
        below, right = (-size % multiple for size in lr_hsi.shape[-2:])
        return (
            F.pad(lr_hsi, (0, right, 0, below), mode="replicate"),
            F.pad(hr_msi, (0, right * self.scale, 0, below * self.scale), mode="replicate"),
        )

    def _residual(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        # Convolutions are fastest on channels_last memory, on CPU and GPU alike.
        local, proxy = self.msg(
            lr_hsi.contiguous(memory_format=torch.channels_last),
            hr_msi.contiguous(memory_format=torch.channels_last),
        )
        x: Tensor | None = None
        for level in reversed(range(LEVELS)):
            f_spa = self.spacam[level](local[level])
            f_spe = self.specam[level](proxy[level])
            f_spa, f_spe = self.sscfm[level](f_spa, f_spe)
            joined = self.join[level](torch.cat((f_spa, f_spe), 1))
            x = joined if x is None else joined + resize(x, joined)
        residual: Tensor = self.head(x)
        return residual


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


def _check_arguments(
    hsi_bands: int, msi_bands: int, scale: int, dim: int, variant: str, phase: float
) -> None:
    if hsi_bands < 1 or msi_bands < 1:
        raise ValueError(f"both images need at least one band, got {hsi_bands} HSI and {msi_bands} MSI bands")
    if not isinstance(scale, int) or scale < 2:
        raise ValueError(f"scale must be an integer of at least 2, got {scale!r}")
    if dim < 4 or dim % 4:
        raise ValueError(f"dim must be a positive multiple of 4, got {dim}")
    if variant not in get_args(Variant):
        raise ValueError(f"variant must be one of {', '.join(get_args(Variant))}, got {variant!r}")
    if not 0 <= phase <= scale - 1:
        raise ValueError(f"phase must lie in 0..{scale - 1}, inside a block of scale {scale}, got {phase}")


def _check_depths(*depths: Sequence[int]) -> None:
    for depth in depths:
        if len(depth) != LEVELS or min(depth) < 1:
            raise ValueError(f"depths need {LEVELS} numbers of at least 1 (full, half, quarter), got {depth}")
