"""Whether two images belong together, and which part of each the fusion uses."""

import math
from dataclasses import dataclass

from cofusion.errors import UserError
from cofusion.inference.images import Image
from cofusion.scenes import Georeference
from cofusion.sensors import centre_phase

# Pixel sizes may differ from an integer ratio by this share; files round their pixel sizes.
_RATIO = 0.01
# Positions may differ by this many pixels of the HRMSI anywhere in the common area.
_SHIFT = 0.1

Transform = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, eq=False)
class Pair:
    """Two images of one area, cropped to it.

    Attributes:
        lr_hsi: The LRHSI, `(C, h, w)`.
        hr_msi: The HRMSI, `(c, scale * h, scale * w)`.
        scale: Ratio of the two resolutions.
        georeference: Where the HRMSI's grid, which is the product's, lies; None where no file says it.
        notes: What the person should know about the two.
    """

    lr_hsi: Image
    hr_msi: Image
    scale: int
    georeference: Georeference | None
    notes: tuple[str, ...] = ()


def pair_up(lr_hsi: Image, hr_msi: Image, scale: int | None = None, phase: float | None = None) -> Pair:
    """Check that two images belong together and crop them to what both cover, on the LRHSI's grid.

    With georeferences the two grids are compared: the HRMSI is cropped such that the LRHSI's samples lie at
    the phase that the method expects. Without one on either side, the images must cover the same area: their
    sizes then have an integer ratio.

    Args:
        lr_hsi: The LRHSI.
        hr_msi: The HRMSI.
        scale: The ratio that the method is made for, if it is made for one.
        phase: Where the method expects an LR sample in its block, in HR pixels; the block's centre where left
            out.

    Raises:
        UserError: They do not belong together; the message says what was measured.
    """
    if lr_hsi.georeference is None or hr_msi.georeference is None:
        return _by_size(lr_hsi, hr_msi, scale)
    _check_crs(lr_hsi, hr_msi)
    return _by_place(lr_hsi, hr_msi, lr_hsi.georeference, hr_msi.georeference, scale, phase)


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


def check_scale(measured: int, scale: int | None, evidence: str) -> None:
    """Raise `UserError` unless the measured ratio is the one that the method is made for."""
    if scale is not None and measured != scale:
        raise UserError(
            f"the weights are for scale {scale}, the two images have {measured} ({evidence}); give weights "
            f"for scale {measured}, or other images"
        )


def _by_size(lr_hsi: Image, hr_msi: Image, scale: int | None) -> Pair:
    _, h, w = lr_hsi.shape
    _, rows, cols = hr_msi.shape
    sizes = f"{lr_hsi.name} is {h} x {w} pixels, {hr_msi.name} is {rows} x {cols}"
    if rows < h and cols < w:
        raise UserError(f"{sizes}: the two look swapped, the LRHSI is the smaller one")
    ratio = rows // h
    if (rows, cols) != (ratio * h, ratio * w) or ratio < 2:
        raise UserError(
            f"{sizes}, ratios {rows / h:.4g} and {cols / w:.4g}; where not both files state where they lie, "
            "the images must cover the same area and one integer of at least 2 must be the ratio of their "
            "sizes"
        )
    check_scale(ratio, scale, sizes)
    notes: tuple[str, ...] = ()
    place = hr_msi.georeference
    if place is None and lr_hsi.georeference is not None:
        place = lr_hsi.georeference.window(0, 0, finer=ratio)
    if place is not None:
        without = hr_msi if hr_msi.georeference is None else lr_hsi
        notes = (f"{without.name} does not state where it lies; it is taken to cover the other's area",)
    return Pair(lr_hsi, hr_msi, ratio, place, notes)


def _check_crs(lr_hsi: Image, hr_msi: Image) -> None:
    from rasterio.crs import CRS

    ours, theirs = (image.georeference and image.georeference.crs for image in (lr_hsi, hr_msi))
    if ours and theirs and CRS.from_string(ours) != CRS.from_string(theirs):
        raise UserError(
            f"{lr_hsi.name} is in {_short(ours)}, {hr_msi.name} in {_short(theirs)}; --align warps the "
            "HRMSI onto the LRHSI's grid"
        )


def _by_place(
    lr_hsi: Image, hr_msi: Image, lr: Georeference, hr: Georeference, scale: int | None, phase: float | None
) -> Pair:
    grid = to_pixels(lr.transform, hr.transform)
    _check_overlap(lr_hsi, hr_msi, grid)
    ratio = _integer_ratio(lr_hsi, hr_msi, grid)
    check_scale(ratio, scale, f"pixel sizes {_pixel(lr)} and {_pixel(hr)}")
    # A sample stands for its pixel's centre; the method expects it `phase` into its block.
    expected = 0.0 if phase is None else phase - centre_phase(ratio)
    (top, left), (lr_rows, lr_cols) = _common(lr_hsi, hr_msi, grid, ratio, expected)
    h, w = lr_rows.stop - lr_rows.start, lr_cols.stop - lr_cols.start
    _check_shift(grid, ratio, expected, (top, left), (lr_rows, lr_cols), lr_hsi, hr_msi)
    part = hr_msi.crop(top, left, ratio * h, ratio * w)
    whole = (h, w) == lr_hsi.shape[1:]
    notes = (
        ()
        if whole
        else (f"the images share {h} x {w} of the LRHSI's {lr_hsi.shape[1]} x {lr_hsi.shape[2]} pixels",)
    )
    place = part.georeference
    if place is not None and place.crs is None:
        place = Georeference(lr.crs, place.transform)
    return Pair(lr_hsi.crop(lr_rows.start, lr_cols.start, h, w), part, ratio, place, notes)


def _check_overlap(lr_hsi: Image, hr_msi: Image, grid: Transform) -> None:
    """The corners of the LRHSI, in pixels of the HRMSI, against its borders."""
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


def _integer_ratio(lr_hsi: Image, hr_msi: Image, grid: Transform) -> int:
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


def _common(
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


def _check_shift(
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


def _pixel(place: Georeference) -> str:
    a, b, _, d, e, _ = place.transform
    return f"{math.hypot(a, d):g} x {math.hypot(b, e):g}"


def _short(crs: str) -> str:
    """A code as it is, of a WKT its name."""
    return crs if '"' not in crs else crs.split('"')[1]
