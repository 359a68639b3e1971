"""The product as a Zarr store that is written strip by strip: CF names for xarray, `_CRS` for GDAL."""

import importlib.util
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cofusion.errors import UserError
from cofusion.inference.images import Array
from cofusion.inference.layout import Layout
from cofusion.scenes.formats import Raw

NAME = "hr_hsi"  # the array with the values, (band, y, x)
_SUFFIX = ".zarr"
# Bands in one chunk: a spectrum takes few files, a band not all of them.
_BANDS = 16


def is_store(path: Path) -> bool:
    """Tell whether a product is a Zarr store, by its name."""
    return path.suffix.lower() == _SUFFIX


def check(path: Path, compress: str, overviews: bool) -> None:
    """Raise `UserError` where a store cannot be written here, or not like this."""
    if importlib.util.find_spec("zarr") is None:
        raise UserError(f"{path}: Zarr stores need the package zarr; pip install 'zarr>=3'")
    if compress == "lzw":
        raise UserError(f"{path}: Zarr stores are packed with deflate, zstd or none, not lzw")
    if overviews:
        raise UserError(f"{path}: coarser images are for a GeoTIFF (.tif); leave --overviews out")


def create(path: Path, layout: Layout) -> None:
    """Make a store without values, in the place of one that is there.

    Raises:
        UserError: The store cannot be written, or the product's rows do not run along its coordinates.
    """
    import zarr

    bands, rows, cols = layout.shape
    place = layout.georeference
    if place is not None and (place.transform[1] or place.transform[3]):
        raise UserError(f"{path}: a Zarr store has no rotated grid; name the product .tif")
    with _errors(path):
        group = zarr.open_group(path, mode="w", zarr_format=2, attributes=dict(layout.tags))
        group.create_array(
            NAME,
            shape=layout.shape,
            chunks=(min(bands, _BANDS), min(rows, layout.block), min(cols, layout.block)),
            dtype=layout.dtype,
            fill_value=layout.nodata,
            compressors=_compressor(layout.compress),
            attributes=_attributes(layout),
        )
        for name, values, attributes in _coordinates(layout):
            group.create_array(name, data=values, attributes={"_ARRAY_DIMENSIONS": [name], **attributes})
        if place is not None and place.crs is not None:
            wkt = _wkt(place.crs)
            group.create_array(
                "spatial_ref",
                data=np.array(0),
                attributes={"_ARRAY_DIMENSIONS": [], "crs_wkt": wkt, "spatial_ref": wkt},
            )
        zarr.consolidate_metadata(path, zarr_format=2)


def write(path: Path, first: int, values: Raw) -> None:
    """Write rows `(bands, rows, cols)`, beginning at the row `first`, a multiple of the block."""
    with _errors(path):
        _values(path, "r+")[:, first : first + values.shape[1]] = values


def read(path: Path, first: int, rows: int) -> Raw:
    """Read rows as stored.

    Raises:
        OSError: Parts of the store are damaged or lack.
    """
    try:
        return np.asarray(_values(path, "r")[:, first : first + rows])
    except Exception as error:
        # Each of the codecs has its own.
        raise OSError(f"{path}: {error}") from error


def picture(
    path: Path, bands: tuple[int, int, int], most: int, detail: tuple[slice, slice]
) -> tuple[Array, Array]:
    """Read three bands for a picture, as `cofusion.inference.product.picture` does."""
    values = _values(path, "r")
    thin = max(1, math.ceil(max(values.shape[1:]) / most))
    whole = np.stack([values[band, ::thin, ::thin] for band in bands])
    part = np.stack([values[(band, *detail)] for band in bands])
    nodata = values.fill_value
    found = [
        np.where(array == nodata, np.float32("nan"), array).astype(np.float32) for array in (whole, part)
    ]
    return found[0], found[1]


def remove(path: Path) -> None:
    """Remove a store, if it is there."""
    shutil.rmtree(path, ignore_errors=True)


def _values(path: Path, mode: Any) -> Any:
    import zarr

    return zarr.open_group(path, mode=mode, zarr_format=2)[NAME]


def _compressor(compress: str) -> Any:
    import numcodecs

    return {"deflate": numcodecs.Zlib(6), "zstd": numcodecs.Zstd(9), "none": None}[compress]


def _attributes(layout: Layout) -> dict[str, Any]:
    scale, offset = layout.scale_offset
    found: dict[str, Any] = {"_ARRAY_DIMENSIONS": ["band", "y", "x"], "long_name": "fused image"}
    if (scale, offset) != (1.0, 0.0):
        found |= {"scale_factor": scale, "add_offset": offset}
    if layout.georeference is not None and layout.georeference.crs is not None:
        found |= {"grid_mapping": "spatial_ref", "_CRS": {"wkt": _wkt(layout.georeference.crs)}}
    return found


def _coordinates(layout: Layout) -> Iterator[tuple[str, Any, dict[str, str]]]:
    """Yield name, values and attributes: centres of bands in nm or their numbers, and of rows and columns."""
    bands, rows, cols = layout.shape
    if layout.wavelengths is None:
        yield "band", np.arange(1, bands + 1), {"long_name": "band number"}
    else:
        yield "band", np.array(layout.wavelengths), {"long_name": "wavelength", "units": "nm"}
    a, _, c, _, e, f = (1, 0, 0, 0, 1, 0) if layout.georeference is None else layout.georeference.transform
    for name, count, step, start in (("y", rows, e, f), ("x", cols, a, c)):
        yield (
            name,
            start + step * (np.arange(count) + 0.5),
            {"standard_name": f"projection_{name}_coordinate"},
        )


def _wkt(crs: str) -> str:
    from rasterio.crs import CRS

    text: str = CRS.from_user_input(crs).to_wkt()
    return text


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, KeyError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(f"cannot write {path}: {reason}") from error
