"""Pixels without data, filled so that nothing rings around them."""

from typing import Any

import numpy.typing as npt


def fill_nearest(values: npt.NDArray[Any], missing: npt.NDArray[Any]) -> None:
    """Give pixels without data the values of the nearest one that has some, in place; zeros where none has.

    Args:
        values: `(bands, rows, cols)`.
        missing: `(rows, cols)` bool.
    """
    if missing.all():
        values[:] = 0
    elif missing.any():
        from scipy.ndimage import distance_transform_edt

        rows, cols = distance_transform_edt(missing, return_distances=False, return_indices=True)
        values[:, missing] = values[:, rows[missing], cols[missing]]
