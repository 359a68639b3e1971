"""What every network shares: its first arguments, and images of any size."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from cofusion.models.pretrained import Pretrained
from cofusion.models.shapes import check_pair


class FusionNetwork(Pretrained, ABC):
    """A network whose full-resolution grid has to be divisible by `multiple`; any image may be given.

    Args:
        hsi_bands: Number of HSI bands C.
        msi_bands: Number of MSI bands c.
        scale: Ratio of the two resolutions, an integer of at least 2.
        phase: Where an LR sample sits in its `scale` x `scale` block, in full-resolution pixels.

    Raises:
        ValueError: An argument lies outside its range.
    """

    multiple: ClassVar[int]

    def __init__(self, hsi_bands: int, msi_bands: int, scale: int, phase: float = 0.0) -> None:
        super().__init__()
        if hsi_bands < 1 or msi_bands < 1:
            raise ValueError(
                f"both images need at least one band, got {hsi_bands} HSI and {msi_bands} MSI bands"
            )
        if not isinstance(scale, int) or scale < 2:
            raise ValueError(f"scale must be an integer of at least 2, got {scale!r}")
        if not 0 <= phase <= scale - 0.5:
            raise ValueError(
                f"phase must lie in 0..{scale - 0.5}, inside a block of scale {scale}, got {phase}"
            )
        self.hsi_bands = hsi_bands
        self.msi_bands = msi_bands
        self.scale = scale
        self.phase = phase

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
        rows, cols = hr_msi.shape[-2:]
        step = self.multiple // math.gcd(self.multiple, self.scale)
        if step > 1:
            lr_hsi, hr_msi = self._pad(lr_hsi, hr_msi, step)
        # Convolutions are fastest on channels_last memory, on CPU and GPU alike.
        fused = self.fuse(
            lr_hsi.contiguous(memory_format=torch.channels_last),
            hr_msi.contiguous(memory_format=torch.channels_last),
        )
        if step > 1:
            # Negative padding: a plain slice would make `torch.export` fix the sizes.
            fused = F.pad(fused, (0, cols - fused.shape[3], 0, rows - fused.shape[2]))
        return fused

    @abstractmethod
    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Fuse images whose H and W are divisible by `multiple` and that lie in channels_last memory."""

    def _pad(self, lr_hsi: Tensor, hr_msi: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Replicate the last rows and columns of both images until `step` divides those of the LRHSI."""
        below, right = (-size % step for size in lr_hsi.shape[-2:])
        return (
            F.pad(lr_hsi, (0, right, 0, below), mode="replicate"),
            F.pad(hr_msi, (0, right * self.scale, 0, below * self.scale), mode="replicate"),
        )
