"""What a run must record to be counted."""

import math
import sys
from collections.abc import Mapping
from typing import Any

from cofusion.reports.tables.texts import as_text

# A recorded mean may differ from that of the recorded scenes by rounding alone.
_ROUNDING = 1e-6
_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("epochs_done", "epochs_planned", "steps", "parameters", "threads"), int),
    "fit_time_s": (int, float),
    **dict.fromkeys(("checkpoint", "device", "budget"), str),
}
_DEEPEST = 50  # levels of nested settings; a real config has seven
_LARGEST = 1e100  # a metric's value; whatever is computed from several stays finite


class UnusableError(Exception):
    """A run that cannot be used; the message is the reason, one clause."""


def plain(value: Any, file: str, depth: int = 0) -> Any:
    """Return nested settings as JSON can hold them: keys are texts, and so is what is no number.

    Args:
        value: What was read.
        file: What it was read from, for the reason.
        depth: How deep it lies in there.

    Raises:
        UnusableError: It is nested too deeply, or a number is too large to compute with.
    """
    if depth > _DEEPEST:
        raise UnusableError(f"{file} is damaged: nested deeper than {_DEEPEST} levels")
    if isinstance(value, Mapping):
        return {as_text(key): plain(item, file, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item, file, depth + 1) for item in value]
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        raise UnusableError(f"{file} is damaged: it holds a number of more than 308 digits")
    return value if isinstance(value, int | float | None) else as_text(value)


def check_results(results: Mapping[str, Any]) -> None:
    """Check that everything a report reads is there and of its kind.

    Args:
        results: A run's `results.json`, with scenes.

    Raises:
        UnusableError: It is not.
    """
    protocol = results.get("protocol")
    if not isinstance(protocol, Mapping) or not {"dataset", "scale"} <= protocol.keys():
        raise UnusableError("results.json records no protocol with a data set and a scale")
    dataset, scale = protocol["dataset"], protocol["scale"]
    if not isinstance(dataset, str):
        raise UnusableError(f"results.json has the data set {dataset!r}, which is no name")
    if not _is(scale, int) or scale < 1:
        raise UnusableError(f"results.json has the scale {scale!r}, which is no whole number of at least 1")
    check_training(results)
    _check_scenes(results["scenes"], "scenes")
    baselines = results.get("baselines") or {}
    if not isinstance(baselines, Mapping):
        raise UnusableError("results.json is damaged: baselines")
    for name, record in baselines.items():
        _check_scenes(record.get("scenes") if isinstance(record, Mapping) else None, f"baselines.{name}")


def check_training(results: Mapping[str, Any]) -> None:
    """Check what is recorded of the training.

    Args:
        results: The `results.json` of a run, tested or not.

    Raises:
        UnusableError: Something is not of its kind.
    """
    for key, kind in _KINDS.items():
        value = results.get(key)
        if value is not None and not (_is(value, kind) and (isinstance(value, str) or value >= 0)):
            raise UnusableError(f"results.json is damaged: {key} is {value!r}")


def check_means(results: Mapping[str, Any], scores: Mapping[str, float]) -> None:
    """Check that a record's means are those of its scenes; otherwise it was changed by hand.

    Args:
        results: A run's `results.json`.
        scores: The means over its scenes.

    Raises:
        UnusableError: They are not.
    """
    recorded = results.get("mean")
    for metric, value in (recorded if isinstance(recorded, Mapping) else {}).items():
        mean = scores.get(metric)
        if value is None or mean is None:
            continue
        if not isinstance(value, int | float) or not math.isclose(value, mean, rel_tol=_ROUNDING):
            raise UnusableError(
                f"contradicts itself: mean {metric} is {value!r}, that of its scenes {mean!r}"
            )


def _check_scenes(scenes: Any, where: str) -> None:
    if not isinstance(scenes, Mapping) or not all(isinstance(values, Mapping) for values in scenes.values()):
        raise UnusableError(f"results.json is damaged: {where} is no table of scenes")
    for scene, values in scenes.items():
        for metric, value in values.items():
            if value is not None and not _is_measured(value):
                raise UnusableError(f"results.json is damaged: {metric} of {scene} is {value!r}")


def _is_measured(value: Any) -> bool:
    return _is(value, (int, float)) and (not math.isfinite(value) or abs(value) <= _LARGEST)


def _is(value: Any, kind: type | tuple[type, ...]) -> bool:
    """Tell whether a value is of a kind; true and false are no numbers."""
    return isinstance(value, kind) and not isinstance(value, bool)
