"""What the scalings of two real images leave different between them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.sensors.simulate import Sensors

# More weight than this has to fall on usable pixels for a blurred one to count.
_WHOLE = 0.999


@dataclass(frozen=True, eq=False)
class Radiometry:
    """A line for each band of the HRMSI: `hr_msi = gain * (hr_msi on the scale of the LRHSI) + offset`.

    Attributes:
        gain: `(c,)`, above 0.
        offset: `(c,)`.
        unexplained: `(c,)`, the part of each band's standard deviation that no line explains: near 0 for
            calibrated images, large for those that were made to look at.
    """

    gain: Tensor
    offset: Tensor
    unexplained: Tensor

    def calibrate(self, hr_msi: Tensor) -> Tensor:
        """Return `(..., c, H, W)` on the scale of the LRHSI; values may leave [0, 1]."""
        gain, offset = (part[:, None, None].to(hr_msi) for part in (self.gain, self.offset))
        return (hr_msi - offset) / gain


def fit_radiometry(
    lr_hsi: Tensor,
    hr_msi: Tensor,
    sensors: Sensors,
    lr_nodata: Tensor | None = None,
    hr_nodata: Tensor | None = None,
) -> Radiometry:
    """Find the lines by least squares, from the LRHSI through the response to the blurred, decimated HRMSI.

    Args:
        lr_hsi: `(C, h, w)`.
        hr_msi: `(c, H, W)` with `H = scale * h` and `W = scale * w`.
        sensors: The sensors that took them.
        lr_nodata: `(h, w)` bool, True where the LRHSI holds no data.
        hr_nodata: `(H, W)` bool, the same of the HRMSI.

    Raises:
        UserError: A band of the HRMSI that does not grow with what the LRHSI says of it, or no pixel at which
            both hold data.
    """
    seen, blurred = sensors.response(lr_hsi), sensors.lr_hsi(hr_msi)
    whole = torch.ones(lr_hsi.shape[-2:], dtype=torch.bool)
    if lr_nodata is not None:
        whole &= ~lr_nodata
    if hr_nodata is not None:
        whole &= sensors.lr_hsi((~hr_nodata)[None].to(hr_msi))[0] > _WHOLE
    if int(whole.sum()) < 2:
        raise UserError("the two images hold data at no common pixels; are they of the same place?")
    x, y = (image[:, whole].double() for image in (seen, blurred))
    x_mean, y_mean = x.mean(1), y.mean(1)
    shared = ((x - x_mean[:, None]) * (y - y_mean[:, None])).mean(1)
    gain = shared / x.var(1, correction=0)
    for name, own in zip(sensors.response.names, gain.tolist(), strict=True):
        if not own > 0:
            raise UserError(
                f"{name} of the HRMSI does not grow with what the LRHSI shows of it; do both show the same "
                f"place, and are the sensors theirs?"
            )
    explained = gain * shared / y.var(1, correction=0)
    return Radiometry(gain, y_mean - gain * x_mean, (1 - explained).clamp_min(0).sqrt())
