"""One hyperspectral scene in memory."""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.scenes.formats import Raw
from cofusion.scenes.georeference import Georeference
from cofusion.scenes.scaling import Scaling, check_scaling, divisor

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

    def __post_init__(self) -> None:
        with _named(self.name):
            _check_values(self.cube)
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
            mask = None if nodata is None or cube.ndim != 3 else _blank(cube, nodata)
            _check_values(cube)
            scaling = divisor(cube, scaling, mask)
            clipped = _scale(name, cube, scaling)
        bad = tuple(sorted(bad_bands))
        return cls(name, cube, wavelengths, scaling, source, georeference, mask, bad, clipped)

    def _check_facts(self) -> None:
        low, high = self.cube.aminmax()
        bands, *size = self.cube.shape
        if low < 0 or high > 1:
            raise UserError(f"values from {low:g} to {high:g} leave [0, 1]; divide by a larger scaling")
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
    good = [band for band in range(len(raw)) if band not in bad]
    if not good:
        raise UserError(f"all {len(raw)} bands are marked as bad; repair the file's list of bad bands")
    return raw[good], None if wavelengths is None else wavelengths[good]


def _blank(cube: Tensor, nodata: float) -> Tensor | None:
    """Set the pixels without data to 0, in place, and return their mask; None where there is none."""
    value = float(np.float64(nodata).astype(np.float32))
    some = torch.zeros(cube.shape[1:], dtype=torch.bool)
    every = ~some
    for band in cube:
        here = band.isnan() if value != value else band == value
        some |= here
        every &= here
    mask = every if value == 0 else some
    if mask.all():
        raise UserError(f"no pixel holds data: all have the nodata value {nodata:g}; give another nodata")
    if not mask.any():
        return None
    for band in cube:
        band[mask] = 0
    return mask


def _scale(name: str, cube: Tensor, scaling: float) -> int:
    """Divide in place, clip to [0, 1] and return how many values were clipped."""
    cube.div_(scaling)
    low, high = cube.aminmax()
    if low >= 0 and high <= 1:
        return 0
    outside = sum(int((band < 0).sum() + (band > 1).sum()) for band in cube)
    ranged = f"they range from {low:.4g} to {high:.4g} after dividing by {scaling:g}"
    if 2 * outside > cube.numel():
        raise UserError(
            f"{outside} of {cube.numel()} values leave [0, 1] ({ranged}); give a scaling that fits, or "
            f"another file where they are no reflectances or radiances"
        )
    _log.warning("scene %r: clipped %d of %d values to [0, 1] (%s)", name, outside, cube.numel(), ranged)
    cube.clamp_(0, 1)
    return outside


def _check_values(cube: Tensor) -> None:
    if cube.ndim != 3 or 0 in cube.shape:
        raise UserError(f"a cube has three axes (bands, rows, cols), this one has shape {tuple(cube.shape)}")
    low, high = cube.aminmax()
    if not bool(torch.isfinite(low) & torch.isfinite(high)):
        bad = ~torch.isfinite(cube)
        first = int(bad.flatten().int().argmax())
        band, row, col = (int(i) for i in np.unravel_index(first, cube.shape))
        raise UserError(
            f"{int(bad.sum())} of {cube.numel()} values are NaN or infinite, the first at "
            f"band {band}, row {row}, column {col} (counted from 0); repair or crop the file"
        )
    if low == high:
        raise UserError(f"all {cube.numel()} values are {low:g}; a constant cube cannot be learned from")
