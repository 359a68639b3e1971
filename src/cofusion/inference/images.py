"""The two images of a fusion, read by windows: files of every known format, scenes and arrays."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.scenes import Georeference, Scene
from cofusion.scenes.files import band_centres
from cofusion.scenes.formats import Contents, Raw, open_file
from cofusion.scenes.formats.contents import ALL, good_bands

Array = npt.NDArray[np.float32]

# A look at a whole image goes through it in strips of about this many values.
_STRIP = 2**24


@dataclass(frozen=True, eq=False)
class Image:
    """One of the two images.

    Attributes:
        name: For messages: the file or scene.
        shape: `(bands, rows, cols)`.
        load: Reads runs of rows and columns, `(bands, rows, cols)` float32 in the file's units; NaN in all
            bands of a pixel without data.
        wavelengths: `(bands,)` band centres in nm, or None.
        georeference: Where it lies, or None.
        units: Scale and offset from stored to physical values, as the file states them.
        path: The file, or None.
        nodata: The value that stands for missing data in the file, or None.
    """

    name: str
    shape: tuple[int, int, int]
    load: Callable[[slice, slice], Array]
    wavelengths: tuple[float, ...] | None = None
    georeference: Georeference | None = None
    units: tuple[float, float] = (1.0, 0.0)
    path: Path | None = None
    nodata: float | None = None

    def crop(self, top: int, left: int, rows: int, cols: int) -> "Image":
        """Return a part of the image; its georeference moves along."""
        load = self.load

        def part(within_rows: slice, within_cols: slice) -> Array:
            return load(_shift(within_rows, top, rows), _shift(within_cols, left, cols))

        place = self.georeference and self.georeference.window(top, left)
        return replace(self, shape=(self.shape[0], rows, cols), load=part, georeference=place)

    def strips(self, thick: int = 1) -> Iterator[tuple[slice, Array]]:
        """Go through the rows in strips that fit into memory, a multiple of `thick` rows each."""
        bands, rows, cols = self.shape
        step = max(1, _STRIP // (bands * cols * thick)) * thick
        for first in range(0, rows, step):
            strip = slice(first, min(first + step, rows))
            yield strip, self.load(strip, ALL)


def open_image(
    path: str | Path,
    key: str | None = None,
    nodata: float | None = None,
    band_axis: int | None = None,
    wavelengths: list[float] | None = None,
) -> Image:
    """Open a file without reading its values.

    Bands that the file marks as bad are left out. GeoTIFF, ENVI, HDF5, NetCDF, MATLAB 7.3 and .npy files are
    read by windows; MATLAB 5 files and folders of PNGs only whole, once.

    Args:
        path: A file of a format that `cofusion.scenes.formats.open_file` knows.
        key: The variable in a MATLAB, HDF5 or NetCDF file.
        nodata: The value that stands for missing data, in place of the file's.
        band_axis: Which axis of a .npy, HDF5 or NetCDF array holds the bands.
        wavelengths: Band centres in nm in place of the file's: one per band, or the first and the last of an
            even grid.

    Raises:
        UserError: As for `open_file`, another number of wavelengths, or all bands are marked as bad.
    """
    path = Path(path).expanduser()
    contents = open_file(path, key, band_axis)
    good = good_bands(contents.shape[0], contents.bad_bands)
    if not good:
        raise UserError(f"{path}: all {contents.shape[0]} bands are marked as bad; repair the file's list")
    centres = band_centres(contents, wavelengths, path)
    nodata = contents.nodata if nodata is None else nodata
    return Image(
        name=str(path),
        shape=(len(good), *contents.shape[1:]),
        load=_reader(contents, good, nodata),
        wavelengths=None if centres is None else tuple(centres[good].tolist()),
        georeference=contents.georeference,
        units=contents.units,
        path=path,
        nodata=nodata,
    )


def image_of(given: Scene | Tensor | npt.ArrayLike, name: str) -> Image:
    """Take a scene or an array `(bands, rows, cols)` as an image.

    Args:
        given: The values; a scene's mask and the array's NaN are pixels without data.
        name: What to call an array in messages.

    Raises:
        UserError: The array does not have three axes.
    """
    if isinstance(given, Scene):
        centres = None if given.wavelengths is None else tuple(given.wavelengths.tolist())
        load = _of_array(given.cube, given.nodata)
        return Image(given.name, _shape(given.cube, name), load, centres, given.georeference)
    cube = torch.as_tensor(given)
    return Image(name, _shape(cube, name), _of_array(cube, None))


def _reader(contents: Contents, good: list[int], nodata: float | None) -> Callable[[slice, slice], Array]:
    every = len(good) == contents.shape[0]
    held: list[Raw] = []

    def load(rows: slice, cols: slice) -> Array:
        if contents.whole:
            # Read once: each call would read the whole file.
            if not held:
                held.append(contents.load())
            raw = held[0][:, rows, cols]
        else:
            raw = contents.load(ALL, rows, cols)
        raw = raw if every else raw[good]
        values = raw.astype(np.float32) if contents.whole else raw.astype(np.float32, copy=False)
        return _blank(values, nodata)

    return load


def _of_array(cube: Tensor, nodata: Tensor | None) -> Callable[[slice, slice], Array]:
    def load(rows: slice, cols: slice) -> Array:
        values: Array = cube[:, rows, cols].to(torch.float32, copy=True).numpy()
        if nodata is not None:
            values[:, nodata[rows, cols].numpy()] = np.nan
        return _blank(values, None)

    return load


def _blank(values: Array, nodata: float | None) -> Array:
    """Set pixels without data to NaN in all bands.

    A pixel is without data where any of its bands is NaN, infinite or `nodata`; where that is 0, which is a
    reflectance too, where all are 0.
    """
    missing: Any = ~np.isfinite(values).all(0)
    if nodata is not None and np.isfinite(nodata):
        # Files state the value in float64, of which the values kept float32.
        same = values == np.float32(nodata)
        missing |= same.all(0) if nodata == 0 else same.any(0)
    if missing.any():
        values[:, missing] = np.nan
    return values


def _shape(cube: Any, name: str) -> tuple[int, int, int]:
    if cube.ndim != 3 or 0 in cube.shape:
        raise UserError(f"{name} has shape {tuple(cube.shape)}, expected (bands, rows, cols)")
    bands, rows, cols = cube.shape
    return bands, rows, cols


def _shift(run: slice, first: int, size: int) -> slice:
    start, stop, _ = run.indices(size)
    return slice(start + first, stop + first)
