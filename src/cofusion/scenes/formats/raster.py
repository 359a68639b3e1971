"""GeoTIFF and ENVI, both read by GDAL."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from cofusion.errors import UserError
from cofusion.scenes.formats.contents import ALL, Contents, Raw, Shape, check_array, reading
from cofusion.scenes.georeference import Georeference
from cofusion.scenes.wavelengths import in_nm, parse_length

_ENVI_SUFFIXES = ("", ".img", ".dat", ".bsq", ".bil", ".bip", ".raw", ".bin", ".pix")
_TITLES = {"GTiff": "GeoTIFF", "ENVI": "ENVI raster"}


def open_geotiff(path: Path) -> Contents:
    """Look into a GeoTIFF; wavelengths come from the bands' tags or descriptions (`450.5 nm`).

    Raises:
        UserError: A truncated, foreign or sparse file, or values that are not real numbers.
    """
    with _dataset(path, "GTiff") as data:
        _check_blocks(path, data)
        return _contents(path, data, _band_wavelengths(path, data))


def open_envi(path: Path, first: int | None = None) -> Contents:
    """Look into an ENVI file: wavelengths, bad-band list, ignored value and map from its header.

    Args:
        path: The header or the data file beside it.
        first: How many bands to read, from the first on, where the others are no part of the spectrum; all
            when left out.

    Raises:
        UserError: No header or no data file beside it, a header that does not fit the data, or lists in it
            that do not have one entry per band.
    """
    path = _envi_data(path) if path.suffix.lower() == ".hdr" else path
    with _dataset(path, "ENVI") as data:
        header = data.tags(ns="ENVI")
        _check_envi_size(path, data, header)
        wavelengths = None
        # Some writers number the bands here and say so in place of a unit.
        if "wavelength" in header and header.get("wavelength_units", "").lower() != "index":
            unit, centres = header.get("wavelength_units"), _numbers(header["wavelength"])
            dropped = 0 if first is None else max(0, data.count - first)
            wavelengths = in_nm(centres[: len(centres) - dropped], unit, data.count - dropped, str(path))
        return _contents(path, data, wavelengths, _bad_bands(path, header, data.count), first)


def is_raster(path: Path) -> bool:
    """Return whether a path is that of a GeoTIFF or ENVI file."""
    return path.suffix.lower() in (".tif", ".tiff", ".hdr") or envi_header(path) is not None


def load_warped(
    path: Path, grid: Georeference, shape: Shape, nodata: float | None, rows: slice, cols: slice
) -> npt.NDArray[np.float32]:
    """Read a window of a GeoTIFF or ENVI file as it looks on another grid (cubic resampling).

    Args:
        path: The file.
        grid: The other grid.
        shape: `(bands, rows, cols)` of the whole image there.
        nodata: The value that stands for missing data in the file, or None.
        rows: The window's rows on the other grid.
        cols: Its columns.

    Returns:
        `(bands, rows, cols)` float32; NaN where the file holds nothing.
    """
    from rasterio.enums import Resampling
    from rasterio.vrt import WarpedVRT

    tiff = path.suffix.lower() in (".tif", ".tiff")
    path = _envi_data(path) if path.suffix.lower() == ".hdr" else path
    options = grid.profile() | {"height": shape[1], "width": shape[2]}
    with (
        _dataset(path, "GTiff" if tiff else "ENVI") as data,
        WarpedVRT(
            data, resampling=Resampling.cubic, src_nodata=nodata, nodata=math.nan, dtype="float32", **options
        ) as warped,
    ):
        window = (rows.indices(shape[1])[:2], cols.indices(shape[2])[:2])
        values: npt.NDArray[np.float32] = warped.read(window=window)
        return values


def envi_header(path: Path) -> Path | None:
    """Return the ENVI header of a data file, or None."""
    beside = [named for hdr in (".hdr", ".HDR") for named in (path.with_suffix(hdr), Path(f"{path}{hdr}"))]
    return next((header for header in beside if header.is_file() and header != path), None)


def _contents(
    path: Path,
    data: Any,
    wavelengths: Tensor | None,
    bad: tuple[int, ...] = (),
    first: int | None = None,
) -> Contents:
    dtypes = sorted(set(data.dtypes))
    bands = data.count if first is None else min(first, data.count)
    shape, dtype = (bands, data.height, data.width), np.result_type(*dtypes)
    check_array(path, "the raster", shape, dtype)
    return Contents(
        format=_TITLES[data.driver],
        shape=shape,
        dtype=dtype,
        load=partial(_load, path, data.driver, bands),
        wavelengths=wavelengths,
        bad_bands=tuple(band for band in bad if band < bands),
        nodata=data.nodata,
        georeference=_georeference(data),
        units=_units(data),
    )


def _load(
    path: Path, driver: str, first: int, bands: slice = ALL, rows: slice = ALL, cols: slice = ALL
) -> Raw:
    with _dataset(path, driver) as data:
        window = (rows.indices(data.height)[:2], cols.indices(data.width)[:2])
        values: Raw = data.read(data.indexes[:first][bands], out_dtype="float32", window=window)
        return values


@contextmanager
def _dataset(path: Path, driver: str) -> Iterator[Any]:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with reading(path, f"{'a' if driver == 'GTiff' else 'an'} {_TITLES[driver]}"), warnings.catch_warnings():
        # A scene without a place on Earth is nothing to warn of.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, driver=driver) as data:
            yield data


def _georeference(data: Any) -> Georeference | None:
    if data.crs is None and data.transform.is_identity:
        return None
    code = data.crs.to_authority() if data.crs else None
    crs = ":".join(code) if code else data.crs.to_wkt() if data.crs else None
    return Georeference(crs, tuple(data.transform)[:6])


def _units(data: Any) -> tuple[float, float]:
    stated = set(zip(data.scales, data.offsets, strict=True))
    return stated.pop() if len(stated) == 1 else (1.0, 0.0)


def _band_wavelengths(path: Path, data: Any) -> Tensor | None:
    found = [_band_wavelength(data, band) for band in data.indexes]
    known = [nm for nm in found if nm is not None]
    return in_nm(known, "nm", data.count, str(path)) if known else None


def _band_wavelength(data: Any, band: int) -> float | None:
    """Return a band's centre in nm from GDAL's own item, from a tag `wavelength`, or from its description."""
    micrometres = data.tags(band, ns="IMAGERY").get("CENTRAL_WAVELENGTH_UM")
    if micrometres is not None:
        return 1000 * float(micrometres)
    tags = {name.lower(): value for name, value in data.tags(band).items()}
    if "wavelength" in tags:
        unit = tags.get("wavelength_units", tags.get("wavelength_unit"))
        return float(in_nm(_numbers(tags["wavelength"]), unit, 1, f"band {band}"))
    return parse_length(data.descriptions[band - 1] or "")


def _envi_data(header: Path) -> Path:
    beside = [header.with_suffix(suffix) for suffix in _ENVI_SUFFIXES]
    found = next((path for path in beside if path.is_file()), None)
    if found is None:
        raise UserError(
            f"{header} has no data file beside it; looked for {', '.join(path.name for path in beside)}"
        )
    return found


def _check_blocks(path: Path, data: Any) -> None:
    """Refuse a file whose blocks do not make up the image.

    GDAL shows zeros where a block is left out, and what fits of a block that is too large: both hide damage
    to the sizes in the header.
    """
    # Bands that are stored pixel by pixel share their blocks.
    shared = data.profile.get("interleave") == "pixel"
    left_out = unfit = 0
    for band in data.indexes[:1] if shared else data.indexes:
        rows, cols = data.block_shapes[band - 1]
        pixel = np.dtype(data.dtypes[band - 1]).itemsize * (data.count if shared else 1)
        for row in range(math.ceil(data.height / rows)):
            # The last strip may end with the image; tiles are whole.
            sizes = {rows * cols * pixel, min(rows, data.height - row * rows) * cols * pixel}
            for col in range(math.ceil(data.width / cols)):
                size = data.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", band)
                left_out += size is None
                unfit += data.compression is None and size is not None and int(size) not in sizes
    if left_out or unfit:
        what = f"leaves {left_out} of its blocks out" if left_out else f"has {unfit} blocks of another size"
        raise UserError(
            f"{path} {what}; it may be damaged, or sparse: fetch it again, or write it without SPARSE_OK"
        )


def _check_envi_size(path: Path, data: Any, header: dict[str, str]) -> None:
    pixels = data.count * data.height * data.width
    stated = int(header.get("header_offset", 0)) + pixels * np.dtype(data.dtypes[0]).itemsize
    held = path.stat().st_size
    if stated != held:
        raise UserError(
            f"{path} holds {held} bytes, its header says {stated} ({data.count} bands of {data.height} x "
            f"{data.width} pixels of {data.dtypes[0]}); it may be truncated, or the header is of another file"
        )


def _bad_bands(path: Path, header: dict[str, str], bands: int) -> tuple[int, ...]:
    if "bbl" not in header:
        return ()
    good = _numbers(header["bbl"])
    if len(good) != bands:
        raise UserError(f"{path} has a bad-band list of {len(good)} entries for {bands} bands; repair it")
    return tuple(band for band, flag in enumerate(good) if not flag)


def _numbers(text: str) -> list[float]:
    """Return the numbers of an ENVI list, `{1.5, 2.5}`."""
    values = [float(word) for word in text.strip().strip("{}").replace(",", " ").split()]
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"a number in {text!r} is not finite")
    return values
