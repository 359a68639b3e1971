"""How long methods were trained, in words."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from cofusion.reports.records.runs import Run


def budget(runs: Sequence[Run]) -> str:
    """Say what training was spent on runs: steps, epochs, time and hardware.

    Args:
        runs: Runs of one method, or of several of the same recipe.
    """
    if not any(run.needs_training for run in runs):
        return "nothing to train"
    parts = [
        _span([_number(run.fit, "steps") for run in runs], "steps"),
        _span([_number(run.fit, "epochs_done") for run in runs], "epochs"),
        _times([_number(run.fit, "fit_time_s") for run in runs]),
        " and ".join(sorted({str(run.fit["device"]) for run in runs if run.fit.get("device")})),
        " and ".join(sorted({f"budget {run.fit['budget']}" for run in runs if run.fit.get("budget")})),
        "" if all(run.training is not None for run in runs) else "recipe not known",
    ]
    return ", ".join(part for part in parts if part)


def seconds(runs: Sequence[Run]) -> float | None:
    """Return how long runs were trained, the mean in seconds: 0 without a training, None where unknown.

    Args:
        runs: Of one method.
    """
    if not any(run.needs_training for run in runs):
        return 0.0
    known = [value for run in runs if (value := _number(run.fit, "fit_time_s")) is not None]
    return fmean(known) if known else None


def _number(results: Mapping[str, Any], key: str) -> float | None:
    value = results.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _span(values: Sequence[float | None], unit: str) -> str:
    known = sorted({int(value) for value in values if value is not None})
    if not known:
        return ""
    return f"{known[0]} {unit}" if len(known) == 1 else f"{known[0]} to {known[-1]} {unit}"


def _times(seconds: Sequence[float | None]) -> str:
    """Say from when to when in the unit of the longest."""
    known = sorted(value for value in seconds if value is not None)
    if not known:
        return ""
    unit, length = next(((u, n) for u, n in (("h", 3600), ("min", 60)) if known[-1] >= n), ("s", 1))
    shown = list(dict.fromkeys(f"{value / length:.{0 if unit == 's' else 1}f}" for value in known))
    return f"{shown[0]} {unit}" if len(shown) == 1 else f"{shown[0]} to {shown[-1]} {unit}"
