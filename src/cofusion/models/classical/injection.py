"""From coefficients to images: the few steps that touch every full-resolution pixel."""

import torch
from torch import Tensor

from cofusion.sensors import Sensors, upsample

# Below it, a value near 1 is what float32 rounds away: a pixel this dark is not divided by.
_DARK = 1e-6
_HIGHEST_RATIO = 10.0


def up(lr: Tensor, sensors: Sensors) -> Tensor:
    """Interpolate `(B, bands, h, w)` to `(B, bands, H, W)` at the sensors' phase, in float32."""
    return upsample(lr.float(), sensors.scale, sensors.phase)


def mix(weights: Tensor, image: Tensor, offset: Tensor | None = None) -> Tensor:
    """Return the weighted sums of bands `(B, C, H, W)`, in channels_last memory.

    Args:
        weights: `(B, C, c)`.
        image: `(B, c, H, W)`.
        offset: Added to every band, `(B, C, 1)`.
    """
    batch, _, rows, cols = image.shape
    image = image.float()
    start = image.new_zeros(()) if offset is None else offset.mT.float()
    mixed = torch.baddbmm(start, _pixels(image), weights.mT.float())
    return mixed.view(batch, rows, cols, -1).permute(0, 3, 1, 2)


def add_detail(fine: Tensor, weights: Tensor, image: Tensor) -> Tensor:
    """Add `mix(weights, image)` to an image of `up`, in place, and return it."""
    pixels = fine.permute(0, 2, 3, 1).view(len(fine), -1, fine.shape[1])
    pixels.baddbmm_(_pixels(image.float()), weights.mT.float())
    return fine


def modulation(high: Tensor, low: Tensor) -> Tensor:
    """Return `high / low` between 0 and 10, and 1 where `low` is not above 0; overwrites `high`."""
    dark = low <= _DARK
    return high.div_(low).clamp_(0.0, _HIGHEST_RATIO).masked_fill_(dark, 1.0)


def _pixels(image: Tensor) -> Tensor:
    return image.permute(0, 2, 3, 1).flatten(1, 2)
