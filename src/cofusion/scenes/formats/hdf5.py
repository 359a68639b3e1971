"""HDF5 and what is built on it: NetCDF 4 and MATLAB 7.3."""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cofusion.errors import UserError
from cofusion.scenes.formats.contents import (
    ALL,
    WAVELENGTHS,
    Contents,
    Raw,
    Shape,
    axis_order,
    check_array,
    choose,
    guess_band_axis,
    reading,
)
from cofusion.scenes.wavelengths import in_nm


def open_hdf5(path: Path, key: str | None, band_axis: int | None) -> Contents:
    """Look into an HDF5 or NetCDF 4 file.

    The bands are the axis of `band_axis`, or of the size of a list (a NetCDF dimension, for example) named
    like bands or wavelengths; where none tells, of a clear size.

    Args:
        path: The file.
        key: Path of the variable, for example `cube` or `group/cube`.
        band_axis: 0, 1, 2 or None.

    Raises:
        UserError: A truncated or foreign file, no such variable, one that is not a three-dimensional array of
            real numbers, or a band axis that nothing tells.
    """
    import h5py

    with reading(path, "an HDF5 or NetCDF 4 file"):
        if not h5py.is_hdf5(path):
            raise UserError(
                f"{path} is no HDF5 file; it may be truncated, or NetCDF 3: convert it with nccopy -k nc4"
            )
        with h5py.File(path) as file:
            arrays = _arrays(file)
            key = choose(path, key, {name: array.shape for name, array in arrays.items()})
            data, lists = arrays[key], _wavelength_lists(arrays)
            _check_whole(path, key, data)
            if band_axis is None:
                band_axis = guess_band_axis(path, data.shape, _band_counts(arrays))
            order = axis_order(band_axis)
            bands, rows, cols = (data.shape[i] for i in order)
            return Contents(
                format="NetCDF" if "_NCProperties" in file.attrs else "HDF5",
                shape=(bands, rows, cols),
                dtype=data.dtype,
                load=partial(_load, path, key, order),
                wavelengths=next(
                    (in_nm(nm, None, bands, str(path)) for nm in lists if len(nm) == bands), None
                ),
                nodata=_fill_value(data),
            )


def open_mat73(path: Path, key: str | None) -> Contents:
    """Look into a MATLAB 7.3 file; columns come first in it, so HDF5 shows the axes reversed."""
    import h5py

    with h5py.File(path) as file:
        arrays = _arrays(file)
        # As MATLAB shows them, for the person; groups are MATLAB's structures.
        shapes = {name: getattr(item, "shape", ())[::-1] for name, item in file.items() if name[0] != "#"}
        key = choose(path, key, shapes)
        data, lists = arrays[key], _wavelength_lists(arrays)
        _check_whole(path, key, data)
        bands, cols, rows = data.shape
        return Contents(
            format="MATLAB 7.3",
            shape=(bands, rows, cols),
            dtype=data.dtype,
            load=partial(_load, path, key, (0, 2, 1)),
            wavelengths=next((in_nm(nm, None, bands, str(path)) for nm in lists), None),
        )


def _load(
    path: Path, key: str, order: Shape, bands: slice = ALL, rows: slice = ALL, cols: slice = ALL
) -> Raw:
    """Return `(bands, rows, cols)` float32; `order` names the file's axes in this order."""
    import h5py

    with reading(path, f"an HDF5 file with the variable {key!r}"), h5py.File(path) as file:
        data = file[key]
        asked = [range(size) for size in data.shape]
        for axis, run in zip(order, (bands, rows, cols), strict=True):
            asked[axis] = asked[axis][run]
        cube = np.empty([len(asked[axis]) for axis in order], np.float32)
        in_file_order = cube.transpose(np.argsort(order))
        # Piece by piece: each is unpacked once and nothing is held in the file's float64.
        for piece in _pieces(data, asked):
            place = tuple(
                slice(p.start - a.start, p.stop - a.start) for p, a in zip(piece, asked, strict=True)
            )
            in_file_order[place] = data[piece]
    return cube


def _pieces(data: Any, asked: list[range]) -> Iterator[tuple[slice, ...]]:
    """Cut what is asked for into pieces that lie together in the file."""
    whole = tuple(slice(one.start, one.stop) for one in asked)
    if data.chunks:
        yield from data.iter_chunks(whole)
    else:
        yield from ((slice(i, i + 1), *whole[1:]) for i in asked[0])


def _check_whole(path: Path, key: str, data: Any) -> None:
    check_array(path, f"variable {key!r}", data.shape, data.dtype)
    if data.chunks:
        expected = math.prod(-(-size // chunk) for size, chunk in zip(data.shape, data.chunks, strict=True))
        stored = data.id.get_num_chunks()
    else:
        expected, stored = data.nbytes, data.id.get_storage_size()
    # HDF5 shows zeros where nothing was stored.
    if stored != expected:
        raise UserError(
            f"variable {key!r} of {path} is stored in part ({stored} of {expected} "
            f"{'chunks' if data.chunks else 'bytes'}); it may be damaged, fetch it again"
        )


def _arrays(file: Any) -> dict[str, Any]:
    """Return all data sets of numbers, also in groups."""
    import h5py

    found: dict[str, Any] = {}
    file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return found


def _wavelength_lists(arrays: dict[str, Any]) -> list[list[float]]:
    """Return the lists of wavelengths; their values tell the unit.

    Its name is not read: texts lie in HDF5's heaps, where its library loops for ever if they are damaged.
    """
    return [
        array[...].ravel().tolist()
        for name, array in arrays.items()
        if name.rsplit("/", 1)[-1].lower() in WAVELENGTHS and array.dtype.kind in "fiu"
    ]


def _band_counts(arrays: dict[str, Any]) -> tuple[int, ...]:
    """Return the lengths of lists that go along the bands.

    NetCDF stores each dimension as such a list. HDF5 can also tell which axis a dimension belongs to, but its
    library ends the process where that table is damaged.
    """
    return tuple(
        array.size
        for name, array in arrays.items()
        if array.size and any(word in name.rsplit("/", 1)[-1].lower() for word in ("band", *WAVELENGTHS))
    )


def _fill_value(data: Any) -> float | None:
    for name in ("_FillValue", "missing_value"):
        # The type is known without reading.
        if name in data.attrs and data.attrs.get_id(name).dtype.kind in "fiu":
            return float(np.ravel(data.attrs[name])[0])
    return None
