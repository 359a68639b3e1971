"""NumPy's own files."""

import math
from functools import partial
from pathlib import Path

import numpy as np
import numpy.lib.format as npy

from cofusion.errors import UserError
from cofusion.scenes.formats.contents import (
    ALL,
    Contents,
    Raw,
    Shape,
    axis_order,
    check_array,
    guess_band_axis,
    reading,
)

_EXPECTED = "a .npy file with one array of three axes"


def open_npy(path: Path, band_axis: int | None) -> Contents:
    """Look into a .npy file.

    Raises:
        UserError: A truncated or foreign file, an array of other than three axes or of no real numbers, or
            sizes that do not tell the band axis.
    """
    with reading(path, _EXPECTED), path.open("rb") as file:
        version = npy.read_magic(file)
        first = version == (1, 0)
        shape, _, dtype = npy.read_array_header_1_0(file) if first else npy.read_array_header_2_0(file)
        stated, held = math.prod(shape) * dtype.itemsize, path.stat().st_size - file.tell()
    check_array(path, "the array", shape, dtype)
    if stated != held:
        raise UserError(
            f"{path} holds {held} bytes of values, its header says {stated}; it may be truncated, "
            f"write it again"
        )
    order = axis_order(guess_band_axis(path, shape) if band_axis is None else band_axis)
    bands, rows, cols = (shape[axis] for axis in order)
    return Contents(".npy", (bands, rows, cols), dtype, partial(_load, path, order))


def _load(path: Path, order: Shape, bands: slice = ALL, rows: slice = ALL, cols: slice = ALL) -> Raw:
    with reading(path, _EXPECTED):
        values: Raw = np.load(path, mmap_mode="r", allow_pickle=False)
        return np.array(values.transpose(order)[bands, rows, cols])
