"""What an image's values are divided by, and a look through them before hours of work."""

import math
from dataclasses import dataclass

import numpy as np

from cofusion.errors import UserError
from cofusion.inference.images import Image

# Values of which the largest is below this share of the divisor are in another unit: reflectances from 0 to 1
# beside weights for those from 0 to 10000, say.
_DARK = 0.01


@dataclass(frozen=True)
class Range:
    """What the values of an image are.

    Attributes:
        scaling: They are divided by this.
        low: The smallest.
        high: The largest.
        clipped: Share of the values that leave [0, 1] after dividing, and are clipped.
        missing: Share of the pixels without data.
    """

    scaling: float
    low: float
    high: float
    clipped: float
    missing: float


def look_through(image: Image, scaling: float | None, check: bool = True) -> Range:
    """Go once through an image and check that its values fit the scaling.

    Args:
        image: The image, cropped to what is used.
        scaling: What its values are divided by; their maximum where left out.
        check: Refuse a constant image, and values that are almost all outside of [0, 1] or far below 1 after
            dividing.

    Raises:
        UserError: No pixel with data, no positive value where the maximum is asked for, or what is refused.
    """
    if scaling is not None and not 0 < scaling < math.inf:
        raise UserError(f"a scaling is a number above 0, not {scaling}; the values are divided by it")
    low, high, outside, missing = math.inf, -math.inf, 0, 0
    for _, strip in image.strips():
        held = strip[:, ~np.isnan(strip[0])]
        missing += strip[0].size - held.shape[1]
        if held.size:
            low, high = min(low, float(held.min())), max(high, float(held.max()))
            outside += int((held < 0).sum())
            outside += 0 if scaling is None else int((held > scaling).sum())
    bands, rows, cols = image.shape
    if low > high:
        raise UserError(
            f"no pixel of {image.name} in the common area holds data; give another file or nodata value"
        )
    if check and low == high:
        raise UserError(
            f"all values of {image.name} in the common area are {low:g}; there is nothing to fuse"
        )
    values = bands * (rows * cols - missing)
    divisor = high if scaling is None else scaling
    found = f"the values of {image.name} range from {low:g} to {high:g}"
    if divisor <= 0:
        raise UserError(f"{found}; there is no positive one to divide by")
    if check and (outside > 0.5 * values or high < _DARK * divisor):
        raise UserError(
            f"{found} and are divided by {divisor:g}, as the weights' training or the option says: "
            f"{outside / values:.0%} would leave [0, 1] and the largest would be {high / divisor:.2g}; give "
            "the divisor that brings this file to the training's range (--hsi-scaling, --msi-scaling)"
        )
    return Range(divisor, low, high, outside / values, missing / (rows * cols))
