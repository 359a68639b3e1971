"""Reading the containers that data sets come in, with errors that name the file and what was expected."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cofusion.errors import UserError

Raw = npt.NDArray[np.generic]

# Pillow calls 16-bit grey PNGs "I;16", and "I" before version 11.
_GREY_16 = ("I;16", "I;16B", "I")


def read_png_stack(paths: Sequence[Path]) -> Raw:
    """Read one 16-bit grey PNG per band.

    Args:
        paths: The files in band order.

    Returns:
        `(bands, rows, cols)` uint16.

    Raises:
        UserError: A missing, truncated or foreign file, one that is not 16-bit grey, or bands of different
            sizes.
    """
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise UserError(
            f"{paths[0].parent} holds {len(paths) - len(missing)} of {len(paths)} bands; missing: "
            f"{', '.join(missing)}; unpack the scene again"
        )
    # Decoding releases the interpreter lock.
    with ThreadPoolExecutor() as pool:
        bands = list(pool.map(_read_grey_png, paths))
    for path, band in zip(paths, bands, strict=True):
        if band.shape != bands[0].shape:
            raise UserError(
                f"{path} is {band.shape[0]} x {band.shape[1]} pixels, {paths[0].name} is "
                f"{bands[0].shape[0]} x {bands[0].shape[1]}; all bands of a scene have one size"
            )
    return np.stack(bands)


def read_mat_cube(path: Path, key: str) -> Raw:
    """Read a cube from a MATLAB file, version 5 or 7.3 (HDF5).

    Args:
        path: The file.
        key: Name of the variable; MATLAB holds it as (rows, cols, bands).

    Returns:
        `(bands, rows, cols)`: the file's type from version 5, float32 from version 7.3.

    Raises:
        UserError: A truncated or foreign file, no such variable, or one that is not a three-dimensional array
            of real numbers.
    """
    import h5py

    with _reading(path, f"a MATLAB file with the variable {key!r}"):
        return _read_hdf5(path, key) if h5py.is_hdf5(path) else _read_mat5(path, key)


def _read_grey_png(path: Path) -> Raw:
    from PIL import Image

    with _reading(path, "a 16-bit grey PNG"), Image.open(path) as image:
        if image.mode not in _GREY_16:
            raise UserError(
                f"{path} is a {image.format} of mode {image.mode}, expected a 16-bit grey PNG; "
                f"leave this scene out (CAVE's archive holds 'watercolors' as 8-bit RGBA)"
            )
        return np.asarray(image).astype(np.uint16, copy=False)


def _read_mat5(path: Path, key: str) -> Raw:
    from scipy.io import loadmat, whosmat

    _check_variable(path, key, {name: shape for name, shape, _ in whosmat(path)})
    cube: Raw = loadmat(path, variable_names=[key])[key]
    _check_real(path, key, cube.dtype)
    return cube.transpose(2, 0, 1)


def _read_hdf5(path: Path, key: str) -> Raw:
    import h5py

    with h5py.File(path) as file:
        shapes = {name: getattr(item, "shape", ()) for name, item in file.items()}
        _check_variable(path, key, shapes)
        data = file[key]
        _check_real(path, key, data.dtype)
        # MATLAB stores columns first, so HDF5 shows the axes reversed: (bands, cols, rows).
        bands, cols, rows = data.shape
        cube = np.empty((bands, rows, cols), np.float32)
        reversed_view = cube.transpose(0, 2, 1)
        # Chunk by chunk: each is unpacked once and nothing is held in the file's float64.
        for window in data.iter_chunks() if data.chunks else range(bands):
            reversed_view[window] = data[window]
    return cube


def _check_variable(path: Path, key: str, shapes: dict[str, tuple[int, ...]]) -> None:
    if key not in shapes:
        raise UserError(f"{path} has no variable {key!r}; it holds: {', '.join(sorted(shapes)) or 'nothing'}")
    if len(shapes[key]) != 3:
        raise UserError(
            f"variable {key!r} of {path} has shape {shapes[key]}, expected three axes (rows, cols, bands)"
        )


def _check_real(path: Path, key: str, dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "fiu":
        raise UserError(f"variable {key!r} of {path} has type {dtype}, expected real numbers")


@contextmanager
def _reading(path: Path, expected: str) -> Iterator[None]:
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
