"""Scenes too large for memory: a converted copy in a file, of which only what is used is resident."""

import hashlib
import json
import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.scenes.formats.contents import Contents, Shape, good_bands
from cofusion.scenes.kept import Facts, kept
from cofusion.scenes.scaling import Scaled, Scaling, scale_in_place
from cofusion.scenes.space import check_space

# Scenes whose cube takes more bytes are mapped.
MAPPED_ABOVE = 2**30
# Bands that are worked on at a time take about this many bytes.
_RUN = 2**27
_VERSION = 1


@dataclass(frozen=True, eq=False)
class MappedArray:
    """A float32 array in a .npy file, mapped into memory.

    What is read of it counts as resident until it is released; the system's own cache of the file stays.

    Attributes:
        path: The file.
        tensor: The array. Where the file was opened, changes are not written to it.
    """

    path: Path
    tensor: Tensor
    _pages: mmap.mmap

    @classmethod
    def open(cls, path: Path) -> "MappedArray":
        """Map a file that is there."""
        return cls._of(path, np.load(path, mmap_mode="c"))

    @classmethod
    def create(cls, path: Path, shape: tuple[int, ...]) -> "MappedArray":
        """Make a file of zeros; here, changes are written to it.

        Raises:
            UserError: The disk has less room than the file needs.
        """
        check_space(path.parent, 4 * prod(shape))
        array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        # Taken at once: a disk that fills up later would end the process.
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        return cls._of(path, array)

    @classmethod
    def _of(cls, path: Path, array: Any) -> "MappedArray":
        return cls(path, torch.from_numpy(array), array.base)

    def release(self) -> None:
        """Give up the pages that are resident; the next use gets them back from the file."""
        self._pages.madvise(mmap.MADV_DONTNEED)

    def __iter__(self) -> Iterator[Tensor]:
        """Go through the bands in runs of a bounded size, releasing each after use."""
        for bands in band_runs(self.tensor.shape):
            yield self.tensor[bands]
            self.release()


def band_runs(shape: Sequence[int]) -> list[slice]:
    """Cut the bands of a cube `(bands, rows, cols)` into runs that take about 128 MB."""
    bands, rows, cols = shape
    few = max(1, _RUN // (4 * rows * cols))
    return [slice(first, min(first + few, bands)) for first in range(0, bands, few)]


def too_large(shape: Shape) -> bool:
    """Return whether a cube is mapped instead of held in memory."""
    return 4 * prod(shape) > MAPPED_ABOVE


def convert(
    source: Path, contents: Contents, what: Facts, scaling: Scaling, nodata: float | None
) -> tuple[MappedArray, Scaled]:
    """Scale a file's cube into a copy that can be mapped, unless that has been done.

    The copy lies in the folder `.cofusion` beside the file, or in the one that the environment variable
    `COFUSION_CACHE` names. Only a run of bands at a time is in memory, where the format allows it (MATLAB 5
    does not).

    Args:
        source: The file.
        contents: What it holds.
        what: What else tells one cube of the file from another, for example its variable; plain values.
        scaling: Rule, see `Scene.from_raw`.
        nodata: The value that stands for missing data, or None.

    Returns:
        The copy, and what was done to it.

    Raises:
        UserError: Values that `scale_in_place` refuses, or no room for the copy.
    """
    elsewhere = os.environ.get("COFUSION_CACHE")
    beside = source.absolute().parent / ".cofusion"
    identity = {
        "version": _VERSION,
        # Beside its file, a copy stays right when both are moved.
        "source": str(source.absolute()) if elsewhere else source.name,
        "what": what,
        "scaling": scaling,
        # JSON has no NaN that equals itself.
        "nodata": None if nodata is None else str(nodata),
        "bad_bands": list(contents.bad_bands),
    }
    folder = (Path(elsewhere).expanduser() if elsewhere else beside) / f"{source.stem}-{digest(identity)}"
    facts = kept(folder, identity, lambda part: _convert(part, contents, scaling, nodata), source)
    mask = folder / "nodata.npy"
    no_data = torch.from_numpy(np.load(mask)) if mask.exists() else None
    return MappedArray.open(folder / "hr_hsi.npy"), Scaled(**facts, nodata=no_data)


def digest(identity: Facts) -> str:
    """Return a short name for plain values."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def _convert(folder: Path, contents: Contents, scaling: Scaling, nodata: float | None) -> Facts:
    bands, rows, cols = contents.shape
    good = good_bands(bands, contents.bad_bands)
    copy = MappedArray.create(folder / "hr_hsi.npy", (len(good), rows, cols))
    done = 0
    for run in band_runs(contents.shape):
        raw = contents.load(run)
        if raw.shape[1:] != (rows, cols):
            raise UserError(
                f"bands {run.start} to {run.stop - 1} have another size than {rows} x {cols} pixels"
            )
        raw = raw[[band - run.start for band in good if run.start <= band < run.stop]]
        # Values beyond float32 become infinite and are reported as such.
        with np.errstate(over="ignore"):
            copy.tensor[done : done + len(raw)] = torch.from_numpy(raw.astype(np.float32))
        copy.release()
        done += len(raw)
    scaled = scale_in_place(copy, scaling, nodata)
    if scaled.nodata is not None:
        np.save(folder / "nodata.npy", scaled.nodata.numpy())
    return {name: getattr(scaled, name) for name in ("scaling", "clipped", "low", "high")}
