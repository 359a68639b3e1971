"""The product as a raster that is written strip by strip: GeoTIFF or ENVI, or a Zarr store (see `store`)."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np

from cofusion.errors import UserError
from cofusion.files import whole_file
from cofusion.inference import store
from cofusion.inference.images import Array
from cofusion.inference.layout import Compression, Layout
from cofusion.inference.tiles import Span
from cofusion.scenes.formats import Raw
from cofusion.scenes.space import check_space

_DRIVERS = {".tif": "GTiff", ".tiff": "GTiff", ".img": "ENVI"}
# GDAL's own cache of blocks would take a twentieth of the machine's memory.
_ENVIRONMENT = {"GDAL_CACHEMAX": 64, "GDAL_NUM_THREADS": "ALL_CPUS"}


def check_target(path: Path, compress: str, overviews: bool, cog: bool) -> None:
    """Raise `UserError` where the name or the options are not those of a product."""
    if path.suffix.lower() not in _DRIVERS and not store.is_store(path):
        raise UserError(f"{path}: a product is a GeoTIFF (.tif), an ENVI file (.img) or a Zarr store (.zarr)")
    if compress not in get_args(Compression):
        raise UserError(f"compress is one of {', '.join(get_args(Compression))}, not {compress!r}")
    if cog and _DRIVERS.get(path.suffix.lower()) != "GTiff":
        raise UserError(f"{path}: a cloud-optimised GeoTIFF is named .tif")
    if store.is_store(path):
        store.check(path, compress, overviews)


def create(path: Path, layout: Layout) -> None:
    """Make a product without values.

    Raises:
        UserError: The file cannot be written.
    """
    if store.is_store(path):
        store.create(path, layout)
        return
    bands, rows, cols = layout.shape
    driver = _DRIVERS[path.suffix.lower()]
    profile: dict[str, Any] = {"count": bands, "height": rows, "width": cols, "dtype": layout.dtype}
    profile |= {"nodata": layout.nodata, "driver": driver}
    if layout.georeference is not None:
        profile |= layout.georeference.profile()
    if driver == "GTiff":
        profile |= _geotiff_options(layout)
    with _writing(path, "w", **profile) as file:
        file.update_tags(**layout.tags)
        scale, offset = layout.scale_offset
        file.scales, file.offsets = [scale] * bands, [offset] * bands
        if layout.wavelengths is not None:
            _write_wavelengths(file, layout.wavelengths)


def write(path: Path, layout: Layout, first: int, values: Raw) -> None:
    """Write rows into a product that was created; they are in the file when this returns.

    Args:
        path: The file.
        layout: As given to `create`.
        first: The first row, a multiple of the block.
        values: `(bands, rows, cols)` as stored.

    Raises:
        UserError: The file cannot be written.
    """
    if store.is_store(path):
        store.write(path, first, values)
        return
    _, rows, cols = values.shape
    with _writing(path, "r+", driver=_DRIVERS[path.suffix.lower()]) as file:
        file.write(values, window=((first, first + rows), (0, cols)))


def read(path: Path, first: int, rows: int) -> Raw:
    """Read rows of a product as stored.

    Raises:
        RasterioError: They are damaged.
        OSError: Those of a store are.
    """
    if store.is_store(path):
        return store.read(path, first, rows)
    import rasterio

    with rasterio.Env(**_ENVIRONMENT), _no_warning(), rasterio.open(path) as file:
        values: Raw = file.read(window=((first, first + rows), (0, file.width)))
        return values


def picture(
    path: Path, bands: tuple[int, int, int], most: int, detail: tuple[slice, slice]
) -> tuple[Array, Array]:
    """Read three bands for a picture: thinned out to at most `most` pixels a side, and a part as it is.

    Returns:
        Both `(3, rows, cols)` float32, NaN where there is no data.
    """
    if store.is_store(path):
        return store.picture(path, bands, most, detail)
    import rasterio

    indexes = [band + 1 for band in bands]
    with rasterio.Env(**_ENVIRONMENT), _no_warning(), rasterio.open(path) as file:
        thin = max(1, math.ceil(max(file.shape) / most))
        shape = (3, -(-file.height // thin), -(-file.width // thin))
        whole = file.read(indexes, out_shape=shape, masked=True)
        window = tuple((run.start, run.stop) for run in detail)
        part = file.read(indexes, window=window, masked=True)
    return whole.astype(np.float32).filled(np.nan), part.astype(np.float32).filled(np.nan)


def add_overviews(path: Path, block: int) -> None:
    """Add coarser images, each half as wide as the one before, until one fits into a block."""
    import rasterio
    from rasterio.enums import Resampling

    with rasterio.open(path) as file:
        steps = math.ceil(math.log2(max(2.0, max(file.shape) / block)))
    with _writing(path, "r+") as file:
        file.build_overviews([2**step for step in range(1, steps + 1)], Resampling.average)


def rewrite_as_cog(path: Path, target: Path, layout: Layout) -> None:
    """Copy a finished GeoTIFF as a cloud-optimised one, by GDAL's own driver."""
    import rasterio
    import rasterio.shutil

    options = {"compress": layout.compress, "blocksize": 256, "bigtiff": "IF_SAFER"}
    if layout.compress != "none":
        options["predictor"] = "YES"
    with _errors(target), rasterio.Env(**_ENVIRONMENT), _no_warning():
        rasterio.shutil.copy(path, target, driver="COG", **options)


def keeps_order(path: Path) -> bool:
    """Tell whether a product's bytes depend on the order in which its strips were written."""
    return _DRIVERS.get(path.suffix.lower()) == "GTiff"


def write_in_order(path: Path, layout: Layout, strips: Sequence[Span]) -> None:
    """Write a finished GeoTIFF anew from top to bottom, so that its bytes do not tell who fused what when.

    Raises:
        UserError: There is no room for a second file.
    """
    check_space(path.parent, path.stat().st_size + 2**20)
    with whole_file(path) as ordered:
        create(ordered, layout)
        for strip in strips:
            write(ordered, layout, strip.start, read(path, strip.start, strip.stop - strip.start))


def siblings(path: Path) -> list[Path]:
    """Return the files that a product consists of, the main one first."""
    if store.is_store(path):
        return [path]
    others = [path.with_name(f"{path.name}.aux.xml")]
    if _DRIVERS[path.suffix.lower()] == "ENVI":
        others.append(path.with_suffix(".hdr"))
    return [path, *others]


def move(part: Path, target: Path) -> None:
    """Give a finished product its name, in the place of one that has it."""
    if store.is_store(target):
        store.remove(target)
    for old, new in zip(siblings(part)[::-1], siblings(target)[::-1], strict=True):
        if old.suffix == ".hdr":
            # GDAL describes an ENVI file by its name.
            old.write_text(old.read_text().replace(str(part), target.name))
        if old.exists():
            old.replace(new)
        else:
            new.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a product's files."""
    if store.is_store(path):
        store.remove(path)
        return
    for file in siblings(path):
        file.unlink(missing_ok=True)


def _geotiff_options(layout: Layout) -> dict[str, Any]:
    options: dict[str, Any] = {
        "tiled": True,
        "blockxsize": layout.block,
        "blockysize": layout.block,
        "interleave": "band",
        "BIGTIFF": "IF_SAFER",
        # Else closing the new file would fill it with blocks, to be written again.
        "SPARSE_OK": True,
    }
    if layout.compress != "none":
        options |= {"compress": layout.compress, "predictor": 3 if layout.dtype == "float32" else 2}
    return options


def _write_wavelengths(file: Any, wavelengths: tuple[float, ...]) -> None:
    if file.driver == "ENVI":
        listed = ", ".join(f"{nm:.6g}" for nm in wavelengths)
        file.update_tags(ns="ENVI", wavelength=f"{{{listed}}}", wavelength_units="Nanometers")
    for band, nm in enumerate(wavelengths, start=1):
        file.set_band_description(band, f"{nm:.1f} nm")
        if file.driver == "GTiff":
            file.update_tags(band, wavelength=f"{nm:.6g}", wavelength_units="nm")


@contextmanager
def _writing(path: Path, mode: str, **options: Any) -> Iterator[Any]:
    import rasterio

    with (
        _errors(path),
        rasterio.Env(**_ENVIRONMENT),
        _no_warning(),
        rasterio.open(path, mode, **options) as file,
    ):
        yield file


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    from rasterio.errors import RasterioError

    try:
        yield
    except (RasterioError, OSError) as error:
        raise UserError(f"cannot write {path}: {' '.join(str(error).split())}") from error


@contextmanager
def _no_warning() -> Iterator[None]:
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings():
        # A product without a place on Earth is nothing to warn of.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
