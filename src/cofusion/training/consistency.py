"""Physical consistency: what a loss can know at full resolution, where there is no reference."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from cofusion.errors import UserError
from cofusion.metrics.degraded import inside
from cofusion.sensors import Sensors


@dataclass(frozen=True)
class Consistency:
    """How far both sensors, looking at the fused image, would be from the pair that it was made of.

    A weighted sum of two mean absolute errors: of the fused image, blurred and decimated, against the LRHSI;
    and of the fused image, seen through the response, against the HRMSI. Low-resolution pixels that the blur
    mixes with what lies beyond the crop are left out, unless all are such. As metrics, in percent:
    `cofusion.metrics.lr_hsi_error` and `hr_msi_error`, with the source.

    Attributes:
        lr_hsi: Weight of the error against the LRHSI; 0 leaves it out.
        hr_msi: Weight of the error against the HRMSI. It asks for images on one radiometric scale: 0 for an
            HRMSI that was made to look at (tone curve, other light).

    Raises:
        UserError: A negative weight.
    """

    lr_hsi: float = 1.0
    hr_msi: float = 1.0

    def __post_init__(self) -> None:
        for name, weight in (("lr_hsi", self.lr_hsi), ("hr_msi", self.hr_msi)):
            if not weight >= 0:
                raise UserError(f"consistency.{name} must be 0 or more, not {weight}")

    def __call__(self, fused: Tensor, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> Tensor:
        """Return the sum, a scalar of float32 or better.

        Args:
            fused: `(B, C, H, W)`.
            lr_hsi: `(B, C, h, w)`.
            hr_msi: `(B, c, H, W)`.
            sensors: What the pair was taken with.
        """
        fused = fused.to(torch.promote_types(fused.dtype, torch.float32))
        with torch.autocast(fused.device.type, enabled=False):
            seen = replace(sensors, border="replicate").lr_hsi(fused)
            coarse = F.l1_loss(inside(seen, sensors), inside(lr_hsi, sensors))
            return self.lr_hsi * coarse + self.hr_msi * F.l1_loss(sensors.response(fused), hr_msi)
