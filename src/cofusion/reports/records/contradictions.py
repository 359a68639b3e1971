"""Where the files of one run contradict one another: nobody can tell which of them is right."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cofusion.reports.records.run_checks import UnusableError

# Settings of simulated pairs that results.json repeats under the same names; a real pair has but the scale.
_PAIRS = ("scale", "preset", "phase", "border", "hsi_snr", "msi_snr", "noise_seed")


def check_config(results: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Check that a run's results are those of its config: the same pairs and seed.

    Args:
        results: Its `results.json`.
        config: Its `config.yaml`.

    Raises:
        UnusableError: They are of something else.
    """
    recorded: Mapping[str, Any] = results["protocol"]
    data = config.get("data")
    given: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
    for key in _PAIRS if "preset" in recorded else ("scale",):
        if key in recorded and given.get(key) is not None:
            _check_same(f"data.{key}", _finite(given[key]), recorded[key])
    split = given.get("split")
    # A split is recorded under the stem of its file, and given by its path or by that name.
    if isinstance(split, str) and recorded.get("split") not in (None, Path(split).stem, Path(split).name):
        _check_same("data.split", split, recorded["split"])
    seeds = config.get("seed_everything"), results.get("seed")
    if all(isinstance(seed, int) and not isinstance(seed, bool) for seed in seeds):
        _check_same("seed_everything", *seeds)


def check_epochs(results: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Check that a run was trained for as many epochs as its config asks for, or fewer.

    Args:
        results: The `results.json` of the training.
        config: Its `config.yaml`.

    Raises:
        UnusableError: It was planned or trained for others.
    """
    trainer = config.get("trainer")
    asked = trainer.get("max_epochs") if isinstance(trainer, Mapping) else None
    done, planned = results.get("epochs_done"), results.get("epochs_planned")
    if isinstance(asked, int) and asked >= 0 and planned is not None:
        _check_same("trainer.max_epochs", asked, planned)
    if done is not None and planned is not None and done > planned:
        raise UnusableError(f"contradicts itself: {done} epochs done of {planned}")


def _check_same(key: str, given: Any, recorded: Any) -> None:
    if given != recorded:
        raise UnusableError(
            f"contradicts itself: {key} is {given!r} in config.yaml and {recorded!r} in results.json"
        )


def _finite(value: Any) -> Any:
    """An infinite ratio of signal to noise is recorded as none."""
    return None if isinstance(value, float) and math.isinf(value) else value
