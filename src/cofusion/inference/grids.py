"""Two georeferenced grids compared: the ratio of their pixels, the area they share, the shift between them.

A grid is that of the LRHSI in pixels of the HRMSI: `(a, b, c, d, e, f)` as in `Georeference`.
"""

import math

from cofusion.errors import UserError
from cofusion.inference.images import Image
from cofusion.sensors import centre_phase

# Pixel sizes may differ from an integer ratio by this share; files round their pixel sizes.
_RATIO = 0.01
# Positions may differ by this many pixels of the HRMSI anywhere in the common area.
_SHIFT = 0.1

Transform = tuple[float, float, float, float, float, float]


def to_pixels(from_grid: Transform, to_grid: Transform) -> Transform:
    """Return the map from pixels of one grid to pixels of another in the same coordinates."""
    a, b, c, d, e, f = to_grid
    determinant = a * e - b * d
    ia, ib, id_, ie = e / determinant, -b / determinant, -d / determinant, a / determinant
    p, q, r, s, t, u = from_grid
    return (
        ia * p + ib * s,
        ia * q + ib * t,
        ia * (r - c) + ib * (u - f),
        id_ * p + ie * s,
        id_ * q + ie * t,
        id_ * (r - c) + ie * (u - f),
    )


def check_overlap(lr_hsi: Image, hr_msi: Image, grid: Transform) -> None:
    """Raise `UserError` where all of the LRHSI lies beyond one border of the HRMSI."""
    _, h, w = lr_hsi.shape
    a, b, c, d, e, f = grid
    xs = [a * x + b * y + c for x in (0, w) for y in (0, h)]
    ys = [d * x + e * y + f for x in (0, w) for y in (0, h)]
    _, rows, cols = hr_msi.shape
    if max(xs) <= 0 or min(xs) >= cols or max(ys) <= 0 or min(ys) >= rows:
        raise UserError(
            f"the images do not overlap: {lr_hsi.name} covers columns {min(xs):.0f} to {max(xs):.0f} and "
            f"rows {min(ys):.0f} to {max(ys):.0f} in pixels of {hr_msi.name}, which has {cols} columns and "
            f"{rows} rows; give images of one place"
        )


def integer_ratio(lr_hsi: Image, hr_msi: Image, grid: Transform) -> int:
    """Return how many pixels of the HRMSI make up one of the LRHSI along an axis.

    Raises:
        UserError: No integer of at least 2 does, or the grids are turned against each other.
    """
    across, shear, _, tilt, down, _ = grid
    if max(abs(shear), abs(tilt)) > _RATIO * max(abs(across), abs(down)) or min(across, down) <= 0:
        raise UserError(
            f"the grids of {lr_hsi.name} and {hr_msi.name} are turned against each other (one LR pixel is "
            f"({across:.4g}, {tilt:.4g}) by ({shear:.4g}, {down:.4g}) HR pixels); --align resamples the "
            "HRMSI onto the LRHSI's grid"
        )
    ratio = round(across)
    if max(across, down) < 1:
        raise UserError(
            f"{lr_hsi.name} has the finer pixels ({1 / across:.4g} of them make up one of {hr_msi.name}); "
            "the two look swapped: --lr-hsi is the coarse image, --hr-msi the fine one"
        )
    if ratio < 2 or max(abs(across / ratio - 1), abs(down / ratio - 1)) > _RATIO:
        raise UserError(
            f"one pixel of {lr_hsi.name} is {across:.4f} x {down:.4f} pixels of {hr_msi.name}; expected one "
            f"integer of at least 2, within {_RATIO:.0%}; --align resamples the HRMSI to an integer ratio"
        )
    return ratio


def common_area(
    lr_hsi: Image, hr_msi: Image, grid: Transform, ratio: int, expected: float
) -> tuple[tuple[int, int], tuple[slice, slice]]:
    """Return the first row and column of the HRMSI that are used, and the rows and columns of the LRHSI."""
    firsts, runs = [], []
    for size, fine, step, origin in (
        (lr_hsi.shape[1], hr_msi.shape[1], grid[4], grid[5]),
        (lr_hsi.shape[2], hr_msi.shape[2], grid[0], grid[2]),
    ):
        # Where the block of LR pixel 0 begins; the others follow at the integer ratio.
        begin = round(origin - expected + (step - ratio) * size / 2)
        first = max(0, math.ceil(-begin / ratio))
        last = min(size, (fine - begin) // ratio)
        if last <= first:
            raise UserError(
                f"no whole pixel of {lr_hsi.name} lies in {hr_msi.name}; give images that overlap further"
            )
        firsts.append(begin + first * ratio)
        runs.append(slice(first, last))
    return (firsts[0], firsts[1]), (runs[0], runs[1])


def check_shift(
    grid: Transform,
    ratio: int,
    expected: float,
    begin: tuple[int, int],
    lr: tuple[slice, slice],
    lr_hsi: Image,
    hr_msi: Image,
) -> None:
    """Compare the two grids at the corners of the common area."""
    a, b, c, d, e, f = grid
    (top, left), (rows, cols) = begin, lr
    shifts = [
        (
            d * x + e * y + f - expected - top - (y - rows.start) * ratio,
            a * x + b * y + c - expected - left - (x - cols.start) * ratio,
        )
        for x in (cols.start, cols.stop)
        for y in (rows.start, rows.stop)
    ]
    down, right = (max(axis, key=abs) for axis in zip(*shifts, strict=True))
    if max(abs(down), abs(right)) > _SHIFT:
        at = (
            ""
            if not expected
            else f" (the method expects them {expected + centre_phase(ratio):g} HR pixels into their blocks)"
        )
        raise UserError(
            f"the grids do not fit: at ratio {ratio}, pixels of {lr_hsi.name} lie up to {down:+.2f} rows and "
            f"{right:+.2f} columns of {hr_msi.name} off its pixels{at}; --align resamples the HRMSI onto the "
            f"LRHSI's grid"
        )
