"""One hyperspectral scene in memory."""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cofusion.errors import UserError

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

    Raises:
        UserError: The cube is not three-dimensional, holds NaN or infinite values, is constant or leaves [0,
            1], or there is not one wavelength per band.
    """

    name: str
    cube: Tensor
    wavelengths: Tensor | None
    scaling: float
    source: str

    def __post_init__(self) -> None:
        _check_values(self.name, self.cube)
        low, high = self.cube.aminmax()
        if low < 0 or high > 1:
            raise UserError(
                f"scene {self.name!r}: values from {low:g} to {high:g} leave [0, 1]; divide by a larger "
                f"scaling"
            )
        if self.wavelengths is not None and len(self.wavelengths) != len(self.cube):
            raise UserError(
                f"scene {self.name!r}: {len(self.wavelengths)} wavelengths for {len(self.cube)} bands"
            )

    @classmethod
    def from_raw(
        cls, name: str, raw: npt.NDArray[np.generic], wavelengths: Tensor | None, scaling: float, source: str
    ) -> "Scene":
        """Scale a file's values to [0, 1].

        Values that still leave [0, 1] (negative reflectances, glints) are clipped; their number is logged.

        Args:
            name: Name of the scene.
            raw: `(bands, rows, cols)`, any real type. A float32 array is scaled in place.
            wavelengths: `(bands,)` in nm, or None.
            scaling: Divisor, above 0.
            source: The file or package that the values came from.

        Raises:
            UserError: As for `Scene`, or a scaling that is not positive.
        """
        if not scaling > 0:
            raise UserError(f"scene {name!r}: scaling must be above 0, not {scaling}")
        cube = torch.from_numpy(raw.astype(np.float32, order="C", copy=False))
        _check_values(name, cube)
        cube.div_(scaling)
        low, high = cube.aminmax()
        if low < 0 or high > 1:
            outside = int((cube < 0).sum() + (cube > 1).sum())
            _log.warning(
                "scene %r: clipped %d of %d values to [0, 1] (they ranged from %.4g to %.4g after dividing "
                "by %g)",
                *(name, outside, cube.numel(), low, high, scaling),
            )
            cube.clamp_(0, 1)
        return cls(name, cube, wavelengths, scaling, source)


def _check_values(name: str, cube: Tensor) -> None:
    if cube.ndim != 3 or 0 in cube.shape:
        raise UserError(
            f"scene {name!r}: a cube has three axes (bands, rows, cols), this one has shape "
            f"{tuple(cube.shape)}"
        )
    low, high = cube.aminmax()
    if not bool(torch.isfinite(low) & torch.isfinite(high)):
        bad = ~torch.isfinite(cube)
        first = int(bad.flatten().int().argmax())
        band, row, col = (int(i) for i in np.unravel_index(first, cube.shape))
        raise UserError(
            f"scene {name!r}: {int(bad.sum())} of {cube.numel()} values are NaN or infinite, the first at "
            f"band {band}, row {row}, column {col} (counted from 0); repair or crop the file"
        )
    if low == high:
        raise UserError(
            f"scene {name!r}: all {cube.numel()} values are {low:g}; a constant cube cannot be learned from"
        )
