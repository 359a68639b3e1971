"""Whether two images belong together, and which part of each the fusion uses."""

import math
from dataclasses import dataclass

from cofusion.errors import UserError
from cofusion.inference.grids import check_overlap, check_shift, common_area, integer_ratio, to_pixels
from cofusion.inference.images import Image
from cofusion.scenes import Georeference
from cofusion.sensors import centre_phase


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
        return _by_size(lr_hsi, hr_msi, scale, phase)
    _check_crs(lr_hsi, hr_msi)
    return _by_place(lr_hsi, hr_msi, lr_hsi.georeference, hr_msi.georeference, scale, phase)


def check_scale(measured: int, scale: int | None, evidence: str) -> None:
    """Raise `UserError` unless the measured ratio is the one that the method is made for."""
    if scale is not None and measured != scale:
        raise UserError(
            f"the weights are for scale {scale}, the two images have {measured} ({evidence}); give weights "
            f"for scale {measured}, or other images"
        )


def _by_size(lr_hsi: Image, hr_msi: Image, scale: int | None, phase: float | None) -> Pair:
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
    if phase is not None and phase != centre_phase(ratio):
        notes += (
            f"samples of {lr_hsi.name} are taken to lie {phase:g} HR pixels into their blocks, as the method "
            f"expects; a pixel's own centre lies at {centre_phase(ratio):g}",
        )
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
    check_overlap(lr_hsi, hr_msi, grid)
    ratio = integer_ratio(lr_hsi, hr_msi, grid)
    check_scale(ratio, scale, f"pixel sizes {_pixel(lr)} and {_pixel(hr)}")
    # A sample stands for its pixel's centre; the method expects it `phase` into its block.
    expected = 0.0 if phase is None else phase - centre_phase(ratio)
    (top, left), (lr_rows, lr_cols) = common_area(lr_hsi, hr_msi, grid, ratio, expected)
    h, w = lr_rows.stop - lr_rows.start, lr_cols.stop - lr_cols.start
    check_shift(grid, ratio, expected, (top, left), (lr_rows, lr_cols), lr_hsi, hr_msi)
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


def _pixel(place: Georeference) -> str:
    a, b, _, d, e, _ = place.transform
    return f"{math.hypot(a, d):g} x {math.hypot(b, e):g}"


def _short(crs: str) -> str:
    """A code as it is, of a WKT its name."""
    return crs if '"' not in crs else crs.split('"')[1]
