"""Rules that say what a scene's values are divided by."""

import math

import torch
from torch import Tensor

from cofusion.errors import UserError

Scaling = float | str

# A percentile is taken over at most this many values: its copy stays small beside a cube of gigabytes.
_SAMPLES = 2**24


def check_scaling(scaling: Scaling) -> None:
    """Raise `UserError` unless `scaling` is a number above 0, "max" or a percentile such as "p99.9"."""
    if isinstance(scaling, str):
        if scaling == "max" or _percent(scaling) is not None:
            return
    elif 0 < scaling < math.inf:
        return
    raise UserError(
        f"scaling must be above 0, not {scaling}: a number that the values are divided by, "
        f"or max, or a percentile such as p99.9"
    )


def divisor(cube: Tensor, scaling: Scaling, nodata: Tensor | None = None) -> float:
    """Return what a cube is divided by under a rule.

    Args:
        cube: `(bands, rows, cols)` of finite values.
        scaling: A number, which is returned; "max", the largest value; or "p99.9", this percentile of all
            values. Above 16 million values the percentile is that of every n-th pixel.
        nodata: `(rows, cols)`, True where a pixel holds no data and does not count.

    Raises:
        UserError: No such rule, or a rule that gives no positive number for this cube.
    """
    check_scaling(scaling)
    if not isinstance(scaling, str):
        return float(scaling)
    # Pixels without data are 0 in the cube: they cannot be a positive maximum, but would move a percentile.
    found = float(cube.max()) if scaling == "max" else _percentile(cube, scaling, nodata)
    if not found > 0:
        raise UserError(f"scaling {scaling}: it is {found:g} in this cube, not above 0; give a number")
    return found


def _percentile(cube: Tensor, scaling: str, nodata: Tensor | None) -> float:
    import numpy as np

    pixels = torch.arange(cube[0].numel()) if nodata is None else (~nodata).flatten().nonzero().squeeze(1)
    pixels = pixels[:: math.ceil(len(pixels) * len(cube) / _SAMPLES)]
    return float(np.percentile(cube.flatten(1)[:, pixels].numpy(), float(scaling[1:])))


def _percent(scaling: str) -> float | None:
    try:
        percent = float(scaling.removeprefix("p"))
    except ValueError:
        return None
    return percent if scaling.startswith("p") and 0 < percent <= 100 else None
