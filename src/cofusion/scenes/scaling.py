"""From a file's values to [0, 1]: the rules, and their use on cubes of any size."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cofusion.errors import UserError

Scaling = float | str

# A cube's bands in order, in runs `(n, rows, cols)` of float32 that may be changed in place: the cube itself,
# or parts of one that is not held in memory. Gone through several times.
Runs = Iterable[Tensor]

# A percentile is taken over at most this many values: its copy stays small beside a cube of gigabytes.
_SAMPLES = 2**24


@dataclass(frozen=True, eq=False)
class Scaled:
    """What was done to a cube.

    Attributes:
        scaling: What its values were divided by.
        clipped: How many of them left [0, 1] and were clipped.
        low: The smallest value after dividing, before clipping.
        high: The largest.
        nodata: `(rows, cols)`, True where a pixel holds no data, or None where all do.
    """

    scaling: float
    clipped: int
    low: float
    high: float
    nodata: Tensor | None


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


def scale_in_place(runs: Runs, scaling: Scaling, nodata: float | None) -> Scaled:
    """Set pixels without data to 0, divide and clip to [0, 1], in place.

    Args:
        runs: The cube.
        scaling: Divisor, above 0; or max, the largest value; or a percentile of all values, p99.9. Above 16
            million values the percentile is that of every n-th pixel.
        nodata: The value that stands for missing data (may be NaN), or None.

    Raises:
        UserError: A scaling that is no rule or gives no positive number, NaN or infinite values, a constant
            cube, pixels without data everywhere, or more than half of the values would be clipped.
    """
    check_scaling(scaling)
    mask = None if nodata is None else _blank(runs, nodata)
    check_values(runs)
    divisor = scaling if not isinstance(scaling, str) else _find(runs, scaling, mask)
    for run in runs:
        run.div_(divisor)
    low, high = value_range(runs)
    clipped = _clip(runs, low, high, divisor) if low < 0 or high > 1 else 0
    return Scaled(float(divisor), clipped, low, high, mask)


def check_values(runs: Runs) -> None:
    """Raise `UserError` where values are NaN or infinite, or all the same."""
    low, high = value_range(runs)
    count = sum(run.numel() for run in runs)
    if not (math.isfinite(low) and math.isfinite(high)):
        bad, first, bands = 0, None, 0
        for run in runs:
            here = ~torch.isfinite(run)
            if first is None and here.any():
                band, row, col = (int(i) for i in np.unravel_index(int(here.int().argmax()), run.shape))
                first = f"band {bands + band}, row {row}, column {col}"
            bad, bands = bad + int(here.sum()), bands + len(run)
        raise UserError(
            f"{bad} of {count} values are NaN or infinite, the first at {first} (counted from 0); repair or "
            f"crop the file"
        )
    if low == high:
        raise UserError(f"all {count} values are {low:g}; a constant cube cannot be learned from")


def value_range(runs: Runs) -> tuple[float, float]:
    """Return the smallest and the largest value; NaN where there is a NaN."""
    ends = torch.stack([torch.stack(run.aminmax()) for run in runs])
    # torch's minimum and maximum keep NaN.
    return float(ends[:, 0].min()), float(ends[:, 1].max())


def _blank(runs: Runs, nodata: float) -> Tensor | None:
    """Set the pixels without data to 0 and return their mask; None where there is none."""
    value = float(np.float64(nodata).astype(np.float32))
    some, every = torch.tensor(False), torch.tensor(True)
    for run in runs:
        for band in run:
            here = band.isnan() if value != value else band == value
            some, every = some | here, every & here
    mask = every if value == 0 else some
    if mask.all():
        raise UserError(f"no pixel holds data: all have the nodata value {nodata:g}; give another nodata")
    if not mask.any():
        return None
    for run in runs:
        for band in run:
            band[mask] = 0
    return mask


def _find(runs: Runs, rule: str, nodata: Tensor | None) -> float:
    # Pixels without data are 0 in the cube: they cannot be a positive maximum, but would move a percentile.
    found = value_range(runs)[1] if rule == "max" else _percentile(runs, rule, nodata)
    if not found > 0:
        raise UserError(f"scaling {rule}: it is {found:g} in this cube, not above 0; give a number")
    return found


def _percentile(runs: Runs, rule: str, nodata: Tensor | None) -> float:
    bands, pixels, samples = sum(len(run) for run in runs), None, []
    for run in runs:
        if pixels is None:
            held = torch.ones(run.shape[1:], dtype=torch.bool) if nodata is None else ~nodata
            pixels = held.flatten().nonzero().squeeze(1)
            pixels = pixels[:: math.ceil(len(pixels) * bands / _SAMPLES)]
        samples.append(run.flatten(1)[:, pixels].flatten())
    return float(np.percentile(torch.cat(samples).numpy(), float(rule.removeprefix("p"))))


def _clip(runs: Runs, low: float, high: float, divisor: float) -> int:
    outside, count = 0, 0
    for run in runs:
        for band in run:
            outside, count = outside + int((band < 0).sum() + (band > 1).sum()), count + band.numel()
    if 2 * outside > count:
        raise UserError(
            f"{outside} of {count} values leave [0, 1] (they range from {low:.4g} to {high:.4g} after "
            f"dividing by {divisor:g}); give a scaling that fits, or another file where they are no "
            f"reflectances or radiances"
        )
    for run in runs:
        run.clamp_(0, 1)
    return outside


def _percent(scaling: str) -> float | None:
    try:
        percent = float(scaling.removeprefix("p"))
    except ValueError:
        return None
    return percent if scaling.startswith("p") and 0 < percent <= 100 else None
