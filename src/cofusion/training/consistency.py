"""Physical consistency: what a loss can know at full resolution, where there is no reference."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from cofusion.metrics.degraded import inside
from cofusion.sensors import Sensors


def consistency(fused: Tensor, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> Tensor:
    """Return how far both sensors, looking at the fused image, would be from the pair it was made of.

    The mean absolute error of the fused image, blurred and decimated, against the LRHSI, plus that of the
    fused image, seen through the response, against the HRMSI. Low-resolution pixels that the blur mixes with
    what lies beyond the crop are left out, unless all are such. As metrics, in percent:
    `cofusion.metrics.lr_hsi_error` and `hr_msi_error`, with the source.

    Args:
        fused: `(B, C, H, W)`.
        lr_hsi: `(B, C, h, w)`.
        hr_msi: `(B, c, H, W)`.
        sensors: What the pair was taken with.

    Returns:
        A scalar of float32 or better.
    """
    fused = fused.to(torch.promote_types(fused.dtype, torch.float32))
    seen = replace(sensors, border="replicate").lr_hsi(fused)
    coarse = F.l1_loss(inside(seen, sensors), inside(lr_hsi, sensors))
    return coarse + F.l1_loss(sensors.response(fused), hr_msi)
