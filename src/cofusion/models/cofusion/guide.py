"""How the HRMSI guides both flows of MSG (section 3.2)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cofusion.sensors.decimation import upsample

# Optimisers such as AdamW move a parameter by about the learning rate per step, and the logarithm of a PSF's
# tap has to move by several units.
_GAIN = 10.0


class Guide(nn.Module):
    """See the HRMSI as the hyperspectral sensor would, and tell what that leaves out.

    The network is not told the sensor's point spread function: it learns one, non-negative and with sum 1,
    that all multispectral bands share.

    Args:
        scale: Ratio of the two resolutions.
        phase: Where an LR sample sits in its `scale` x `scale` block, in full-resolution pixels.
    """

    def __init__(self, scale: int, phase: float) -> None:
        super().__init__()
        self.scale = scale
        self.phase = phase
        # From half a block before a block to half a block behind it.
        self.reach = (scale + 1) // 2
        offsets = torch.arange(-self.reach, scale + self.reach) - phase
        # It starts as a Gaussian around the sample, a quarter of a block in standard deviation.
        line = -8.0 * (offsets / scale).square()
        self.log_taps = nn.Parameter((line[:, None] + line) / _GAIN)

    @property
    def psf(self) -> Tensor:
        """The learned point spread function, `(k, k)`; its first tap lies `reach` pixels before the block."""
        return (_GAIN * self.log_taps).flatten().softmax(0).view_as(self.log_taps)

    def forward(self, hr_msi: Tensor) -> tuple[Tensor, Tensor]:
        """Split the HRMSI.

        Args:
            hr_msi: `(B, c, H, W)`, both sides multiples of the scale.

        Returns:
            The HRMSI at the LRHSI's resolution, `(B, c, h, w)`, and the HRMSI less the interpolation of that,
            `(B, c, H, W)`, both in the HRMSI's own precision.
        """
        bands = hr_msi.shape[1]
        # Under mixed precision, details would be differences of numbers with three digits.
        with torch.autocast(hr_msi.device.type, enabled=False):
            around = F.pad(hr_msi, [self.reach] * 4, mode="reflect")
            lr_msi = F.conv2d(around, self.psf.expand(bands, 1, -1, -1), stride=self.scale, groups=bands)
            return lr_msi, hr_msi - upsample(lr_msi, self.scale, self.phase)
