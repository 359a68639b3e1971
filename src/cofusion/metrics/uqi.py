"""The universal image quality index between bands, in windows: what D_lambda and D_s are made of."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cofusion.errors import UserError

WINDOW = 32
# The square of less than a step of 16 bits: where bands are flat to this, they are alike.
EPSILON = 1e-10


def window_sides(sides: Sequence[int], scale: int, window: int = WINDOW) -> tuple[int, int]:
    """Return the rows and columns of a window of the low-resolution image.

    A window is `window` full-resolution pixels wide at both resolutions, so both images are compared on the
    same ground; as near to that as whole low-resolution pixels allow, but not below 2, and not above the
    image's own sides.

    Args:
        sides: Rows and columns of the low-resolution image.
        scale: Integer resolution ratio; 1 gives the windows of an image that is not part of a pair.
        window: Side of a window in full-resolution pixels.

    Raises:
        UserError: The window is smaller than 2 pixels.
    """
    if window < 2:
        raise UserError(
            f"window is {window!r}: give the side of a window in pixels, 2 or more, for example 32"
        )
    side = max(2, round(window / scale))
    rows, cols = sides
    return min(side, rows), min(side, cols)


def band_qualities(a: Tensor, b: Tensor, sides: Sequence[int]) -> Tensor:
    """Return the quality index Q of every band of one image with every band of another.

    In a window, `Q = 2 μa μb / (μa² + μb²) · 2 σab / (σa² + σb²)` (Wang and Bovik, "A universal image quality
    index", IEEE Signal Processing Letters 9(3), 2002), -1 to 1; Q of two bands is its mean over the windows.

    Conventions:
        - Windows are disjoint, from the upper left corner on. The last ones of an axis are moved inwards to
          end with the image, so that every pixel counts and all windows are of one size.
        - (Co)variances are those of the population (divided by the number of pixels).
        - 1e-10 is added to the four sums, so that flat windows count as alike (the second factor is 1, and
          so is the first where both bands are zero). It is nothing beside the variances of data in [0, 1].
        - Computed in float64: all covariances of a window are one product of matrices, of differences from
          the window's means. A few windows are held at a time.

    Args:
        a: (C, H, W).
        b: (c, H, W) on the same device.
        sides: Rows and columns of a window, at most (H, W).

    Returns:
        (C, c) float64.
    """
    total = torch.zeros(len(a), len(b), dtype=torch.float64, device=a.device)
    corners = [
        (top, left) for top in _starts(a.shape[-2], sides[0]) for left in _starts(a.shape[-1], sides[1])
    ]
    for some in _groups(corners, len(a), len(b), sides, a.device.type):
        one = _windows(a, some, sides)
        total += _qualities(one, one if b is a else _windows(b, some, sides)).sum(0)
    return total / len(corners)


def _starts(size: int, side: int) -> list[int]:
    return [*range(0, size - side, side), size - side]


def _groups(
    corners: list[tuple[int, int]], bands: int, others: int, sides: Sequence[int], device: str
) -> Iterator[list[tuple[int, int]]]:
    """Split the windows into as many at a time as a processor's cache, or a part of a GPU's memory, holds."""
    values = 2**18 if device == "cpu" else 2**24
    few = max(1, values // (max(bands, others) * max(sides[0] * sides[1], min(bands, others))))
    return (corners[i : i + few] for i in range(0, len(corners), few))


def _windows(image: Tensor, corners: list[tuple[int, int]], sides: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the mean (n, bands) and the differences from it (n, bands, pixels) of windows."""
    rows, cols = sides
    cut = [image[:, top : top + rows, left : left + cols].double() for top, left in corners]
    pixels = torch.stack(cut).flatten(2)
    mean = pixels.mean(-1)
    return mean, pixels - mean[..., None]


def _qualities(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> Tensor:
    """Return Q (n, C, c) of every pair of bands in every window."""
    (mean_a, a_pixels), (mean_b, b_pixels) = a, b
    count = a_pixels.shape[-1]
    covariance = a_pixels @ b_pixels.mT / count
    variances = (pixels.square().sum(-1) / count for pixels in (a_pixels, b_pixels))
    luminance = _compare(mean_a[:, :, None] * mean_b[:, None], mean_a.square(), mean_b.square())
    return luminance * _compare(covariance, *variances)


def _compare(product: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return `2 product / (a + b)` for every pair of bands, 1 where there is nothing to compare."""
    return (2 * product + EPSILON) / (a[:, :, None] + b[:, None] + EPSILON)
