"""What every format gives: the facts of a file and a way to load its values."""

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from cofusion.errors import UserError
from cofusion.scenes.georeference import Georeference

Raw = npt.NDArray[np.generic]
Shape = tuple[int, int, int]
ALL = slice(None)

# What lists of band centres are called in MATLAB, HDF5 and NetCDF files.
WAVELENGTHS = ("wavelength", "wavelengths", "lambda", "wvl")

# Deflate, the strongest of the usual packings, gains at most 1032 to 1.
_STRONGEST_PACKING = 1100


class Load(Protocol):
    """Reads the values of a file."""

    def __call__(self, bands: slice = ALL, rows: slice = ALL, cols: slice = ALL) -> Raw:
        """Return runs of bands, rows and columns, `(bands, rows, cols)`, of the stored type or float32."""
        ...


@dataclass(frozen=True, eq=False)
class Contents:
    """What a file holds.

    Attributes:
        format: Name for people.
        shape: `(bands, rows, cols)`.
        dtype: Type of the stored values.
        load: Reads the values of all bands, rows and columns, or of runs of them.
        whole: Whether every call of `load` reads the whole file, or of a folder of bands whole bands, however
            little is asked for.
        wavelengths: `(bands,)` band centres in nm, or None.
        bad_bands: Bands, counted from 0, that the file calls unusable.
        nodata: The value that stands for missing data, or None.
        georeference: Or None.
        units: Scale and offset that turn stored values into physical ones, where the file states them and
            all bands have the same: physical = scale * stored + offset.
    """

    format: str
    shape: Shape
    dtype: np.dtype[Any]
    load: Load
    wavelengths: Tensor | None = None
    bad_bands: tuple[int, ...] = ()
    nodata: float | None = None
    georeference: Georeference | None = None
    units: tuple[float, float] = (1.0, 0.0)
    whole: bool = False


def good_bands(bands: int, bad: Collection[int]) -> list[int]:
    """Return the bands, counted from 0, that are not marked as bad."""
    return [band for band in range(bands) if band not in bad]


@contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Turn whatever a parser raises on a broken or foreign file into one line for the person."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:  # parsers raise anything from zlib.error to IndexError on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path} ({path.stat().st_size} bytes) cannot be read as {expected}: {reason}; it may be "
            f"truncated or another kind of file, fetch it again"
        ) from error


def check_array(path: Path, what: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise `UserError` unless an array of this shape and type can be a cube that the file holds.

    The size is checked before memory is asked for: a damaged header may claim any.
    """
    if dtype.kind not in "fiu":
        raise UserError(f"{what} of {path} has type {dtype}, expected real numbers")
    if len(shape) != 3 or min(shape) < 1:
        raise UserError(f"{what} of {path} has shape {shape}, expected three axes")
    stated, held = math.prod(shape) * dtype.itemsize, path.stat().st_size
    if stated > _STRONGEST_PACKING * held:
        raise UserError(
            f"{what} of {path} claims {stated} bytes, which a file of {held} bytes cannot hold; it may be "
            f"truncated or damaged, fetch it again"
        )


def choose(path: Path, key: str | None, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return the variable to read: the given one, or the only one with three axes.

    Raises:
        UserError: No such variable, one of other than three axes, none with three axes, or several.
    """
    if key is not None:
        if key not in shapes:
            names = ", ".join(sorted(shapes)) or "nothing"
            raise UserError(f"{path} has no variable {key!r}; it holds: {names}")
        if len(shapes[key]) != 3:
            raise UserError(
                f"variable {key!r} of {path} has shape {shapes[key]}, expected three axes (rows, cols, bands)"
            )
        return key
    cubes = {name: shape for name, shape in shapes.items() if len(shape) == 3}
    if len(cubes) != 1:
        found = sorted((cubes or shapes).items())
        listed = ", ".join(f"{name} {shape}" for name, shape in found) or "nothing"
        raise UserError(
            f"{path} holds {'several cubes' if cubes else 'no array of three axes'} ({listed}); "
            f"{'name one as key (--key NAME)' if cubes else 'give another file'}"
        )
    return next(iter(cubes))


def guess_band_axis(path: Path, shape: tuple[int, ...], lengths: tuple[int, ...] = ()) -> int:
    """Return which of three axes holds the bands.

    Args:
        path: The file, for the error.
        shape: Sizes of the axes.
        lengths: Lengths of lists of wavelengths in the file; the axis of the same size is the band axis.

    Raises:
        UserError: The file does not tell and the sizes are not clear: the band axis would have to be the
            first or the last and at most half as long as both others.
    """
    matches = [axis for axis in range(3) if shape[axis] in lengths]
    if len(matches) == 1:
        return matches[0]
    for axis, others in ((0, shape[1:]), (2, shape[:2])):
        if 2 * shape[axis] <= min(others):
            return axis
    raise UserError(
        f"{path} has shape {shape}, which does not tell the band axis; give band_axis 0 for (bands, rows, "
        f"cols) or 2 for (rows, cols, bands)"
    )


def axis_order(band_axis: int) -> Shape:
    """Return the file's axes in the order (bands, rows, cols)."""
    rows, cols = (axis for axis in range(3) if axis != band_axis)
    return band_axis, rows, cols
