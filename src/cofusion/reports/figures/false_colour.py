"""False-colour pictures of cubes: which bands become red, green and blue, and how they are stretched."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: What the eye sees; for cubes that end in the visible or shortly after it.
NATURAL = (650.0, 550.0, 450.0)
#: The field's colour infrared: vegetation is red. For cubes that reach well into the near infrared.
COLOUR_INFRARED = (850.0, 650.0, 550.0)
#: For cubes without visible bands: vegetation stays red, moist soil is dark.
SHORT_WAVE = (850.0, 1650.0, 2200.0)

_REACH = 60.0  # nm: a band farther from the wanted wavelength than this does not stand for it


@dataclass(frozen=True)
class FalseColour:
    """The bands shown as red, green and blue.

    Attributes:
        bands: Their indices; a cube with fewer than three bands repeats some.
        label: Names them for a title, for example "R 650, G 550, B 450 nm".
    """

    bands: tuple[int, int, int]
    label: str


def choose_bands(
    count: int, wavelengths: npt.ArrayLike | None = None, like: npt.ArrayLike | None = None
) -> FalseColour:
    """Choose three bands of a cube by wavelength.

    The first of `COLOUR_INFRARED` (only for cubes that reach 900 nm), `NATURAL` and `SHORT_WAVE` whose three
    wavelengths all lie within 60 nm of three different bands is taken. A cube for which none fits, or whose
    wavelengths are unknown, is shown with three bands spread over its range, the last one in red.

    Args:
        count: Number of bands in the cube.
        wavelengths: (count,) in nm, if known.
        like: Wavelengths of another cube whose choice this one should follow where it can, so that an
            HRMSI is shown in the colours of its HRHSI.
    """
    if wavelengths is None:
        bands = _spread(count)
        return FalseColour(bands, _label(bands, [f"band {band + 1}" for band in bands]))
    nm = np.asarray(wavelengths, dtype=np.float64)
    bands = _by_wavelength(nm, nm if like is None else np.asarray(like, dtype=np.float64)) or _spread(count)
    return FalseColour(bands, _nanometres(nm, bands))


def nearest_bands(wavelengths: npt.ArrayLike, wanted: npt.ArrayLike) -> FalseColour:
    """Choose the bands nearest to three wavelengths.

    Args:
        wavelengths: (count,) in nm.
        wanted: (3,) in nm, for red, green and blue.
    """
    nm = np.asarray(wavelengths, dtype=np.float64)
    red, green, blue = (int(np.argmin(np.abs(nm - target))) for target in np.asarray(wanted))
    return FalseColour((red, green, blue), _nanometres(nm, (red, green, blue)))


def stretch_limits(cube: npt.ArrayLike, bands: tuple[int, int, int]) -> tuple[Array, Array]:
    """Return the 2nd and 98th percentile of three bands, each (3, 1, 1).

    Args:
        cube: (bands, rows, cols), the one picture from which all panels take their stretch.
        bands: The bands shown.
    """
    shown = np.asarray(cube)[list(bands)].reshape(3, -1)
    low, high = np.nanpercentile(shown, (2, 98), axis=1)[..., None, None]
    return low, np.maximum(high, low + 1e-6)


def compose(
    cube: npt.ArrayLike, bands: tuple[int, int, int], limits: tuple[Array, Array], gamma: float = 1.0
) -> Array:
    """Make a picture (rows, cols, 3) in [0, 1] from three bands of a cube.

    Args:
        cube: (bands, rows, cols). Values that are not finite are shown black.
        bands: The bands shown as red, green and blue.
        limits: What becomes 0 and 1, each (3, 1, 1), as `stretch_limits` returns them.
        gamma: Exponent applied after the stretch; below 1 it lifts shadows.
    """
    low, high = limits
    shown = np.nan_to_num(np.asarray(cube)[list(bands)].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return np.moveaxis(np.clip((shown - low) / (high - low), 0, 1) ** gamma, 0, -1)


def _by_wavelength(nm: Array, range_of: Array) -> tuple[int, int, int] | None:
    """The bands nearest to the first composite that fits."""
    composites = [NATURAL, COLOUR_INFRARED, SHORT_WAVE]
    if range_of.max() >= 900:
        composites = [COLOUR_INFRARED, NATURAL, SHORT_WAVE]
    for wanted in composites:
        red, green, blue = (int(np.argmin(np.abs(nm - target))) for target in wanted)
        near = all(
            abs(nm[band] - target) <= _REACH for band, target in zip((red, green, blue), wanted, strict=True)
        )
        if near and len({red, green, blue}) == 3:
            return red, green, blue
    return None


def _spread(count: int) -> tuple[int, int, int]:
    """Three bands at 5/6, 1/2 and 1/6 of the range; with fewer than three bands some repeat."""
    return count * 5 // 6, count // 2, count // 6


def _nanometres(nm: Array, bands: tuple[int, int, int]) -> str:
    return _label(bands, [f"{nm[band]:.0f}" for band in bands]) + " nm"


def _label(bands: tuple[int, int, int], names: list[str]) -> str:
    if len(set(bands)) == 1:
        return f"grey: {names[0]}"
    return ", ".join(f"{channel} {name}" for channel, name in zip("RGB", names, strict=True))
