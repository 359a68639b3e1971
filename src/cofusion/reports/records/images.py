"""Fused test scenes as a run records them, for pictures that are drawn later."""

import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cofusion.errors import UserError
from cofusion.files import whole_file
from cofusion.reports.tables.texts import as_text

Array = npt.NDArray[Any]

#: Folder of a run directory that holds a file per test scene.
FOLDER = "images"

#: What it holds of a scene, the reference only where it is known.
CUBES = ("fused", "lr_hsi", "hr_msi", "reference")
# What reading a file that is not such a record, or half of one, raises.
_DAMAGED = (
    OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, RuntimeError, MemoryError,
    zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class RecordedScene:
    """A test scene of one run: what was fused, the pair and, where known, the reference.

    Attributes:
        path: The file.
        called: What messages call it.
        name: The scene's name.
        shape: `(bands, rows, cols)` of the fused cube.
        cubes: What the file holds of `fused`, `lr_hsi`, `hr_msi` and `reference`.
        wavelengths: `(bands,)` in nm, or None where unknown or not finite.
        msi_wavelengths: Centres of the HRMSI's bands in nm, likewise.
    """

    path: Path
    called: str
    name: str
    shape: tuple[int, int, int]
    cubes: tuple[str, ...]
    wavelengths: Array | None
    msi_wavelengths: Array | None

    def cube(self, key: str) -> Array:
        """Read one cube `(bands, rows, cols)` as float32; only this one is read.

        Raises:
            UserError: The file is damaged or has changed.
        """
        try:
            with np.load(self.path, allow_pickle=False) as file:
                cube: Array = file[key].astype(np.float32)
                return cube
        except _DAMAGED as error:
            raise _unreadable(self.called, error) from None


def write_scene(
    path: Path,
    name: str,
    cubes: Mapping[str, npt.ArrayLike],
    wavelengths: npt.ArrayLike | None = None,
    msi_wavelengths: npt.ArrayLike | None = None,
) -> None:
    """Record a fused scene, whole or not at all, as a compressed NumPy archive in half precision.

    Values in [0, 1] keep three significant digits: an error of at most 0.0003, that of an image with a PSNR
    of 77 dB, and 0.02 degrees of a spectral angle.

    Args:
        path: Where to, with the suffix `.npz`; missing folders are made.
        name: The scene's name.
        cubes: `(bands, rows, cols)` in [0, 1]: `fused`, `lr_hsi`, `hr_msi` and, where known, `reference`.
        wavelengths: `(bands,)` in nm, if known.
        msi_wavelengths: Centres of the HRMSI's bands in nm, if known.

    Raises:
        OSError: The folder cannot be written.
    """
    known = {"wavelengths": wavelengths, "msi_wavelengths": msi_wavelengths}
    arrays = {key: np.asarray(cube).astype(np.float16) for key, cube in cubes.items()}
    arrays |= {key: np.asarray(nm, dtype=np.float64) for key, nm in known.items() if nm is not None}
    with whole_file(path) as part:
        np.savez_compressed(part, allow_pickle=False, name=np.array(name), **arrays)


def read_scene(path: Path, called: str | None = None) -> RecordedScene:
    """Read what a file of `write_scene` holds; the cubes themselves are read when asked for.

    Args:
        path: The file.
        called: What messages call it; its path where left out.

    Raises:
        UserError: The file is no such record, or damaged.
    """
    called = str(path) if called is None else called
    try:
        with path.open("rb") as raw:
            if not zipfile.is_zipfile(raw):
                raise ValueError("it is no whole NumPy archive")
        with np.load(path, allow_pickle=False) as file:
            shapes = {key: _shape(file, key) for key in CUBES if key in file.files}
            return RecordedScene(
                path=path,
                called=called,
                name=as_text(file["name"]),
                shape=shapes["fused"],
                cubes=_checked(shapes),
                wavelengths=_nm(file, "wavelengths", shapes["fused"]),
                msi_wavelengths=_nm(file, "msi_wavelengths", shapes["hr_msi"]),
            )
    except _DAMAGED as error:
        raise _unreadable(called, error) from None


def _shape(file: Any, key: str) -> tuple[int, int, int]:
    """The shape in an array's header, without reading the array."""
    with file.zip.open(f"{key}.npy") as member:
        version = np.lib.format.read_magic(member)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        bands, rows, cols = read(member)[0]
    return int(bands), int(rows), int(cols)


def _checked(shapes: Mapping[str, tuple[int, int, int]]) -> tuple[str, ...]:
    fused, coarse, guide = (shapes[key] for key in ("fused", "lr_hsi", "hr_msi"))
    same = shapes.get("reference", fused) == fused and guide[1:] == fused[1:] and coarse[0] == fused[0]
    if not same or 0 in fused or 0 in coarse or fused[1] % coarse[1] or fused[2] % coarse[2]:
        raise ValueError(f"its images do not belong together: {dict(shapes)}")
    return tuple(shapes)


def _nm(file: Any, key: str, shape: tuple[int, int, int]) -> Array | None:
    if key not in file.files:
        return None
    nm: Array = file[key]
    if nm.shape != shape[:1]:
        raise ValueError(f"{nm.size} {key} for {shape[0]} bands")
    return nm if np.isfinite(nm).all() else None


def _unreadable(called: str, error: Exception) -> UserError:
    # The text of an error of the system holds the whole path.
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return UserError(
        f"{called} cannot be read as a recorded scene ({' '.join(str(reason).split())}); test the run again "
        f"with record/images.yaml"
    )
