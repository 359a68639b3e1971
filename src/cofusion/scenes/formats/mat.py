"""MATLAB files, version 5 and 7.3 (which is HDF5)."""

from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from cofusion.errors import UserError
from cofusion.scenes.formats.contents import (
    ALL,
    WAVELENGTHS,
    Contents,
    Raw,
    Shape,
    check_array,
    choose,
    reading,
)
from cofusion.scenes.formats.mat5 import check_mat5
from cofusion.scenes.wavelengths import in_nm

# Types of MATLAB's classes of numbers; scipy calls the file's classes so.
_CLASSES = ("double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


def open_mat(path: Path, key: str | None = None) -> Contents:
    """Look into a MATLAB file.

    MATLAB holds cubes as (rows, cols, bands). A variable `wavelength`, `wavelengths`, `lambda` or `wvl`
    with one number per band gives the band centres.

    Args:
        path: The file.
        key: Name of the variable; may be left out where only one has three axes.

    Raises:
        UserError: A truncated or foreign file, no such variable, or one that is not a three-dimensional array
            of real numbers.
    """
    import h5py

    from cofusion.scenes.formats.hdf5 import open_mat73

    with reading(path, _expected(key)):
        return open_mat73(path, key) if h5py.is_hdf5(path) else _open_mat5(path, key)


def _open_mat5(path: Path, key: str | None) -> Contents:
    from scipy.io import whosmat

    with path.open("rb") as file:
        check_mat5(file)
    listed = {name: (tuple(shape), kind) for name, shape, kind in whosmat(path)}
    key = choose(path, key, {name: shape for name, (shape, _) in listed.items()})
    (rows, cols, bands), kind = listed[key]
    if kind not in _CLASSES:
        raise UserError(f"variable {key!r} of {path} has type {kind}, expected real numbers")
    dtype = np.dtype({"double": "f8", "single": "f4"}.get(kind, kind))
    check_array(path, f"variable {key!r}", (bands, rows, cols), dtype)
    return Contents(
        format="MATLAB 5",
        shape=(bands, rows, cols),
        dtype=dtype,
        load=partial(_load_mat5, path, key, (rows, cols, bands)),
        wavelengths=_wavelengths(path, [name for name in listed if name.lower() in WAVELENGTHS], bands),
        whole=True,
    )


def _load_mat5(
    path: Path, key: str, shape: Shape, bands: slice = ALL, rows: slice = ALL, cols: slice = ALL
) -> Raw:
    from scipy.io import loadmat

    with reading(path, _expected(key)):
        cube: Raw = loadmat(path, variable_names=[key])[key]
        if cube.dtype.kind not in "fiu":
            raise UserError(f"variable {key!r} of {path} has type {cube.dtype}, expected real numbers")
        if cube.shape != shape:
            raise ValueError(f"{shape} values announced, {cube.shape} found")
        return cube.transpose(2, 0, 1)[bands, rows, cols]


def _wavelengths(path: Path, names: list[str], bands: int) -> Tensor | None:
    from scipy.io import loadmat

    if not names:
        return None
    return in_nm(loadmat(path, variable_names=names)[names[0]].ravel().tolist(), None, bands, str(path))


def _expected(key: str | None) -> str:
    return f"a MATLAB file with {'one cube' if key is None else f'the variable {key!r}'}"
