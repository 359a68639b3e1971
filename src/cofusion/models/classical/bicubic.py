"""Bicubic interpolation of the low-resolution cube: the baseline that every table starts with."""

from torch import Tensor, nn

from cofusion.models.shapes import check_pair
from cofusion.sensors.decimation import centre_phase, upsample


class Bicubic(nn.Module):
    """Upsample the LRHSI and ignore the HRMSI.

    Args:
        scale: Ratio of the two resolutions.
        phase: Where an LR sample sits in its block, in full-resolution pixels. Left out, it is the block's
            centre, as in `torch.nn.functional.interpolate(mode="bicubic", align_corners=False)`; the phase
            of the simulation gives an aligned result.
    """

    def __init__(self, scale: int, phase: float | None = None) -> None:
        super().__init__()
        self.scale = scale
        self.phase = centre_phase(scale) if phase is None else phase

    def forward(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Return `(B, C, H, W)` from `lr_hsi (B, C, h, w)` and `hr_msi (B, c, H, W)`."""
        check_pair(lr_hsi, hr_msi, self.scale)
        return upsample(lr_hsi, self.scale, self.phase)
