"""Measured spectral responses of satellites, from the package pyrsr."""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from cofusion.errors import UserError

Satellite = Literal[
    "landsat-5", "landsat-7", "landsat-8", "landsat-9", "rapideye", "sentinel-2a", "sentinel-2b", "spot-5"
]

# Satellite and sensor as pyrsr calls them.
_SENSORS: dict[Satellite, tuple[str, str]] = {
    "landsat-5": ("Landsat-5", "TM"),
    "landsat-7": ("Landsat-7", "ETM+"),
    "landsat-8": ("Landsat-8", "OLI_TIRS"),
    "landsat-9": ("Landsat-9", "OLI_TIRS"),
    "rapideye": ("RapidEye-5", "MSI"),
    "sentinel-2a": ("Sentinel-2A", "MSI"),
    "sentinel-2b": ("Sentinel-2B", "MSI"),
    "spot-5": ("SPOT-5", "HRG1"),
}


def satellite_curves(
    satellite: Satellite, pan: bool
) -> tuple[list[str], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Read the responses that the operators of a satellite published.

    Args:
        satellite: Name of the satellite.
        pan: Whether to include a panchromatic band; thermal ones are left out.

    Returns:
        The bands' names, wavelengths `(n,)` in nm, in steps of 1 nm, and responses `(n, bands)`: at most 1,
        and 0 where the measurement is below.

    Raises:
        UserError: An unknown satellite, or pyrsr is not installed.
    """
    if satellite not in _SENSORS:
        raise UserError(
            f"no measured response of the satellite {satellite!r}; choose one of: "
            f"{', '.join(get_args(Satellite))}, or describe its bands with GaussianResponse"
        )
    try:
        from pyrsr import RSR
    except ImportError:
        raise UserError(f"the response of {satellite!r} needs the package pyrsr: pip install pyrsr") from None
    curves = RSR(*_SENSORS[satellite], no_thermal=True, no_pan=not pan)
    values = np.stack([curves.rsrs_norm01[band] for band in curves.bands], axis=1)
    return list(curves.bands), np.asarray(curves.rsrs_wvl), values.clip(min=0.0)
