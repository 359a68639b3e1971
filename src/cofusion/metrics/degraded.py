"""What the sensors would have seen of an image, for metrics that need no reference."""

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

import torch
from torch import Tensor

from cofusion.sensors import Sensors

# Values held in float64 at a time: whole scenes are walked through in groups of bands or blocks of rows.
_BLOCK = 2**22


def lr_image(image: Tensor, sensors: Sensors) -> Tensor:
    """Blur and decimate as the hyperspectral sensor does, without noise, in float64.

    Beyond the image its edge pixels are repeated, whatever the sensors' border: of a real pair, or of a part
    of a scene, nobody knows what lies there.

    Args:
        image: (bands, H, W).
        sensors: The sensors.

    Returns:
        (bands, h, w) float64.
    """
    return torch.cat([low for _, low in lr_groups(image, sensors)])


def lr_groups(image: Tensor, sensors: Sensors) -> Iterator[tuple[slice, Tensor]]:
    """Yield groups of bands and `lr_image` of these; the arguments are the same."""
    without_border = replace(sensors, border="replicate")
    few = max(1, _BLOCK // image[0].numel())
    for first in range(0, len(image), few):
        bands = slice(first, first + few)
        yield bands, without_border.lr_hsi(image[bands].double())


def inside(image: Tensor, sensors: Sensors) -> Tensor:
    """Return the low-resolution pixels that depend on nothing beyond the image; all where there are none.

    Args:
        image: (..., h, w).
        sensors: The sensors.
    """
    edge = ceil(sensors.support / sensors.scale)
    rows, cols = (slice(edge, size - edge) for size in image.shape[-2:])
    kept = image[..., rows, cols]
    return kept if kept.numel() else image


def msi_blocks(fused: Tensor, hr_msi: Tensor, sensors: Sensors) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield blocks of rows of the fused image, in float64 and seen through the response, and of the HRMSI.

    Args:
        fused: (C, H, W).
        hr_msi: (c, H, W).
        sensors: The sensors.
    """
    rows = max(1, _BLOCK * fused.shape[1] // fused.numel())
    for cube, msi in zip(torch.split(fused, rows, 1), torch.split(hr_msi, rows, 1), strict=True):
        yield sensors.response(cube.double()), msi
