"""How the validation of a recorded run went."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cofusion.reports.records.runs import Run

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Curve:
    """How the validation of one run went.

    Attributes:
        method: What its method is called; runs of several seeds are called the same.
        steps: Optimiser steps at each validation, rising.
        psnr: In dB.
        seconds: Time of training until then; None where it is not known.
        even: Whether that time is the whole one divided evenly over the steps, as the run recorded no other.
    """

    method: str
    steps: Array
    psnr: Array
    seconds: Array | None = None
    even: bool = False


def read_curve(method: str, run: Run) -> Curve | None:
    """Read the curve of the training that a run tests.

    Args:
        method: What its method is called.
        run: The run; one that tests another's checkpoint has the other's curve.

    Returns:
        The curve; None where nothing was trained or validated, or `metrics.csv` is missing or damaged.
    """
    if not run.needs_training:
        return None
    rows = sorted(_validations(run.trainer / "metrics.csv").items())
    if not rows:
        return None
    steps, psnr, timed = (np.array(column) for column in zip(*((s, *row) for s, row in rows), strict=True))
    if np.isfinite(timed).all():
        return Curve(method, steps, psnr, timed)
    whole, last = (run.fit.get(key) for key in ("fit_time_s", "steps"))
    if isinstance(whole, int | float) and isinstance(last, int) and whole > 0 and last > 0:
        return Curve(method, steps, psnr, steps * (whole / last), even=True)
    return Curve(method, steps, psnr)


def _validations(path: Path) -> dict[int, tuple[float, float]]:
    """PSNR and time by the number of steps done; what a resumed run has validated again replaces it."""
    found: dict[int, tuple[float, float]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row.get("val/psnr"):
                    # The log counts from 0.
                    found[int(row["step"]) + 1] = float(row["val/psnr"]), _number(row.get("fit_time_s"))
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return {}
    return {steps: values for steps, values in found.items() if math.isfinite(values[0])}


def _number(text: str | None) -> float:
    return float(text) if text else math.nan
