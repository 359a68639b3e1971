"""Resampling the HRMSI onto the LRHSI's grid, where the person asks for it."""

import math
from dataclasses import replace
from functools import partial

from cofusion.errors import UserError
from cofusion.inference.images import Image
from cofusion.inference.placement import check_scale
from cofusion.scenes import Georeference
from cofusion.scenes.formats.raster import is_raster, load_warped
from cofusion.sensors import centre_phase


def align(lr_hsi: Image, hr_msi: Image, scale: int | None = None, phase: float | None = None) -> Image:
    """Warp the HRMSI, as it is read, onto a grid that divides the LRHSI's pixels (cubic, GDAL's warper).

    Pixels that the HRMSI does not cover are without data.

    Args:
        lr_hsi: The LRHSI.
        hr_msi: The HRMSI: a GeoTIFF or ENVI file.
        scale: The ratio that the method is made for, if it is made for one.
        phase: Where the method expects an LR sample in its block, in HR pixels; the centre where left out.

    Returns:
        The HRMSI on the new grid, which covers the LRHSI.

    Raises:
        UserError: An image without georeference, an HRMSI in another format, or pixels too coarse for it.
    """
    here, there = _place(lr_hsi), _place(hr_msi)
    if hr_msi.path is None or not is_raster(hr_msi.path):
        raise UserError(f"--align reads GeoTIFF and ENVI files; convert {hr_msi.name} to one")
    measured = _ratio(here, there, hr_msi.shape)
    ratio = round(measured)
    if ratio < 2:
        raise UserError(
            f"one pixel of {lr_hsi.name} is only {measured:.2f} pixels of {hr_msi.name} wide; the LRHSI is "
            "the coarse image, the two may be swapped"
        )
    check_scale(ratio, scale, f"pixel sizes have the ratio {measured:.3f}")
    offset = 0.0 if phase is None else phase - centre_phase(ratio)
    grid = here.window(-offset / ratio, -offset / ratio, finer=ratio)
    bands, (_, h, w) = hr_msi.shape[0], lr_hsi.shape
    shape = (bands, h * ratio, w * ratio)
    load = partial(load_warped, hr_msi.path, grid, shape, hr_msi.nodata)
    return replace(hr_msi, shape=shape, load=load, georeference=grid)


def _place(image: Image) -> Georeference:
    if image.georeference is None or image.georeference.crs is None:
        lacking = "place" if image.georeference is None else "coordinate reference system"
        raise UserError(f"--align needs to know where both images lie; {image.name} states no {lacking}")
    return image.georeference


def _ratio(lr: Georeference, hr: Georeference, shape: tuple[int, int, int]) -> float:
    """Return how many pixels of the HRMSI make up one of the LRHSI along an axis."""
    from rasterio import Affine
    from rasterio.transform import array_bounds
    from rasterio.warp import calculate_default_transform

    _, rows, cols = shape
    bounds = array_bounds(rows, cols, Affine(*hr.transform))
    warped, _, _ = calculate_default_transform(hr.crs, lr.crs, cols, rows, *bounds)
    return math.sqrt(abs(Affine(*lr.transform).determinant / warped.determinant))
