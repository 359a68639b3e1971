"""One hyperspectral scene."""

import logging
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.scenes.formats import Contents, Raw
from cofusion.scenes.formats.contents import good_bands
from cofusion.scenes.georeference import Georeference
from cofusion.scenes.mapped import MappedArray, band_runs, convert, too_large
from cofusion.scenes.scaling import Scaled, Scaling, check_scaling, check_values, scale_in_place, value_range

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Scene:
    """A cube with what is known about it.

    Attributes:
        name: Name of the scene within its data set.
        cube: `(bands, rows, cols)` float32 in [0, 1].
        wavelengths: `(bands,)` band centres in nm, or None where unknown.
        scaling: The file's values were divided by this.
        source: The file or package that the cube came from.
        georeference: Where the scene lies, or None.
        nodata: `(rows, cols)` bool, True where a pixel holds no data (the cube is 0 there), or None where all
            do.
        bad_bands: The file's bands, counted from 0, that were left out as unusable.
        clipped: How many values left [0, 1] after scaling and were clipped.
        mapped: The file that the cube is mapped from, or None where it is held in memory.

    Raises:
        UserError: The cube is not three-dimensional, holds NaN or infinite values, is constant or leaves [0,
            1], there is not one wavelength per band, or the mask is of another size.
    """

    name: str
    cube: Tensor
    wavelengths: Tensor | None
    scaling: float
    source: str
    georeference: Georeference | None = None
    nodata: Tensor | None = None
    bad_bands: tuple[int, ...] = ()
    clipped: int = 0
    mapped: MappedArray | None = None

    def __post_init__(self) -> None:
        with _named(self.name):
            _check_axes(self.cube)
            # A mapped cube was looked through when it was made.
            if self.mapped is None:
                self._check_values()
            self._check_facts()

    @classmethod
    def from_raw(
        cls,
        name: str,
        raw: Raw,
        wavelengths: Tensor | None,
        scaling: Scaling,
        source: str,
        *,
        georeference: Georeference | None = None,
        nodata: float | None = None,
        bad_bands: Collection[int] = (),
    ) -> "Scene":
        """Scale a file's values to [0, 1].

        Values that still leave [0, 1] (negative reflectances, glints) are clipped; their number is logged and
        recorded.

        A pixel holds no data where any of its bands has the value `nodata`; where that is 0, which is a
        reflectance too, where all have it.

        Args:
            name: Name of the scene.
            raw: `(bands, rows, cols)`, any real type. A float32 array is scaled in place.
            wavelengths: `(bands,)` in nm, or None.
            scaling: Divisor, above 0; or max, the largest value; or a percentile of all values, p99.9.
            source: The file or package that the values came from.
            georeference: Where the scene lies, or None.
            nodata: The value that stands for missing data (may be NaN), or None.
            bad_bands: Bands of `raw`, counted from 0, to leave out together with their wavelengths.

        Raises:
            UserError: As for `Scene`; a scaling that is no rule or gives no positive number; pixels without
                data everywhere; or more than half of the values would be clipped.
        """
        with _named(name):
            check_scaling(scaling)
            raw, wavelengths = _without(raw, wavelengths, bad_bands)
            # Values beyond float32 become infinite and are reported as such.
            with np.errstate(over="ignore"):
                cube = torch.from_numpy(raw.astype(np.float32, order="C", copy=False))
            _check_axes(cube)
            done = scale_in_place([cube], scaling, nodata)
        _tell_clipped(name, done, cube.numel())
        bad = tuple(sorted(bad_bands))
        return cls(
            name, cube, wavelengths, done.scaling, source, georeference, done.nodata, bad, done.clipped
        )

    @classmethod
    def from_file(
        cls,
        name: str,
        path: Path,
        contents: Contents,
        scaling: Scaling,
        *,
        wavelengths: Tensor | None = None,
        nodata: float | None = None,
        what: dict[str, Any] | None = None,
    ) -> "Scene":
        """Scale the cube of a file to [0, 1] as `from_raw` does, whatever its size.

        A cube of more than 1 GiB as float32 is not held in memory: a copy is made once and mapped, see
        `cofusion.scenes.mapped.convert`.

        Args:
            name: Name of the scene.
            path: The file.
            contents: What it holds.
            scaling: As for `from_raw`.
            wavelengths: `(bands,)` in nm, one per band of the file, in place of the file's.
            nodata: The value that stands for missing data, in place of the file's.
            what: What else tells one cube of the file from another; plain values.

        Raises:
            UserError: As for `from_raw`; or there is no room for the copy.
        """
        nodata = contents.nodata if nodata is None else nodata
        wavelengths = contents.wavelengths if wavelengths is None else wavelengths
        georeference, bad = contents.georeference, contents.bad_bands
        if not too_large(contents.shape):
            return cls.from_raw(
                name,
                contents.load(),
                wavelengths,
                scaling,
                str(path),
                georeference=georeference,
                nodata=nodata,
                bad_bands=bad,
            )
        with _named(name):
            check_scaling(scaling)
            good = _good_bands(contents.shape[0], contents.bad_bands)
            copy, done = convert(path, contents, what or {}, scaling, nodata)
        _tell_clipped(name, done, copy.tensor.numel())
        return cls(
            name,
            copy.tensor,
            None if wavelengths is None else wavelengths[good],
            done.scaling,
            str(path),
            georeference,
            done.nodata,
            bad,
            done.clipped,
            copy,
        )

    def runs(self) -> Iterable[tuple[slice, Tensor]]:
        """Go through the bands in order: all at once, or, of a mapped cube, in runs that fit into memory."""
        bands = [slice(0, len(self.cube))] if self.mapped is None else band_runs(self.cube.shape)
        return zip(bands, [self.cube] if self.mapped is None else self.mapped, strict=True)

    def _check_values(self) -> None:
        check_values([self.cube])
        low, high = value_range([self.cube])
        if low < 0 or high > 1:
            raise UserError(f"values from {low:g} to {high:g} leave [0, 1]; divide by a larger scaling")

    def _check_facts(self) -> None:
        bands, *size = self.cube.shape
        if self.wavelengths is not None and len(self.wavelengths) != bands:
            raise UserError(f"{len(self.wavelengths)} wavelengths for {bands} bands; give one per band")
        if self.nodata is not None and list(self.nodata.shape) != size:
            raise UserError(f"a mask of {tuple(self.nodata.shape)} pixels for a cube of {tuple(size)}")


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Name the scene in every error."""
    try:
        yield
    except UserError as error:
        raise UserError(f"scene {name!r}: {error}") from None


def _without(raw: Raw, wavelengths: Tensor | None, bad: Collection[int]) -> tuple[Raw, Tensor | None]:
    if not bad:
        return raw, wavelengths
    good = _good_bands(len(raw), bad)
    return raw[good], None if wavelengths is None else wavelengths[good]


def _good_bands(bands: int, bad: Collection[int]) -> list[int]:
    good = good_bands(bands, bad)
    if not good:
        raise UserError(f"all {bands} bands are marked as bad; repair the file's list of bad bands")
    return good


def _tell_clipped(name: str, done: Scaled, of: int) -> None:
    if done.clipped:
        _log.warning(
            f"scene {name!r}: clipped {done.clipped} of {of} values to [0, 1] (they range from "
            f"{done.low:.4g} to {done.high:.4g} after dividing by {done.scaling:g})"
        )


def _check_axes(cube: Tensor) -> None:
    if cube.ndim != 3 or 0 in cube.shape:
        raise UserError(f"a cube has three axes (bands, rows, cols), this one has shape {tuple(cube.shape)}")
