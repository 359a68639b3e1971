"""How far a trial is, read from its run directory alone."""

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from cofusion.cluster.record import Record, TrialLock, read_record

Name = Literal["complete", "running", "cut", "failed", "changed", "waiting"]


@dataclass(frozen=True)
class State:
    """How far a trial is.

    Attributes:
        name: `complete`: trained as long as its config asks, and its results are written; `running`; `cut`:
            stopped on the way, so that it can go on; `failed`: its command ended with an error; `changed`:
            its directory holds a run of another command or config; `waiting`: not begun.
        epoch: Epochs behind it.
        epochs: Epochs that its config asks for; None where not known.
        psnr: Best validation PSNR in dB so far, or None.
        test_psnr: Mean PSNR in dB of the test scenes, or None.
        place: Host, and SLURM's job, of the last start.
        note: What is to be said beside that.
        failures: How often it has failed.
    """

    name: Name
    epoch: int = 0
    epochs: int | None = None
    psnr: float | None = None
    test_psnr: float | None = None
    place: str = ""
    note: str = ""
    failures: int = 0


def look(run_dir: Path, wanted: Record, locked: bool = False) -> State:
    """Find out how far a trial is.

    Args:
        run_dir: Its run directory, which need not exist.
        wanted: The trial as its sweep describes it now.
        locked: Whether the caller holds the trial's lock, so that nobody runs it.
    """
    held = not locked and TrialLock(run_dir).held()
    kept, config, results = read_record(run_dir), read_config(run_dir), read_results(run_dir)
    reached = _progress(run_dir, config, results)
    if kept is None:
        if config or results:
            return State("changed", note="the directory holds a run that is no trial", **reached)
        return State("running" if held else "waiting")
    last = kept.attempts[-1] if kept.attempts else None
    reached.update(place=last.place if last else "", failures=kept.failures)
    if held:
        return State("running", **reached)
    changes = kept.differences(wanted)
    if changes:
        return State("changed", note=f"began with {', '.join(changes)}", **reached)
    if is_complete(config, results):
        return State("complete", **reached)
    if last is None:
        return State("waiting", **reached)
    if last.outcome == "failed":
        return State("failed", note=f"ended with status {last.status}", **reached)
    return State("cut", **reached)


def is_complete(config: Mapping[str, Any] | None, results: Mapping[str, Any] | None) -> bool:
    """Tell whether a run has done what its config asks: trained to the end, and its test written.

    Args:
        config: Its resolved config.
        results: Its `results.json`.
    """
    if config is None or results is None:
        return False
    tested = bool(results.get("scenes")) or not config.get("test_after_fit", True)
    return tested and _trained(config.get("trainer", {}), results)


def read_config(run_dir: Path) -> dict[str, Any] | None:
    """Read a run's `config.yaml`; None where there is none that can be read."""
    try:
        config = yaml.safe_load((run_dir / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return None
    return config if isinstance(config, dict) else None


def read_results(run_dir: Path) -> dict[str, Any] | None:
    """Read a run's `results.json`; None where there is none that can be read."""
    try:
        results = json.loads((run_dir / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return results if isinstance(results, dict) else None


def _trained(trainer: Mapping[str, Any], results: Mapping[str, Any]) -> bool:
    done, planned = results.get("epochs_done") or 0, trainer.get("max_epochs")
    if planned is not None and planned >= 0 and done >= planned:
        return True
    steps = trainer.get("max_steps", -1)
    if steps >= 0 and (results.get("steps") or 0) >= steps:
        return True
    # A run that may stop by itself is only tested once it has.
    callbacks = trainer.get("callbacks") or []
    stops = any(str(callback.get("class_path", "")).endswith("EarlyStopping") for callback in callbacks)
    return bool(results.get("scenes")) and (stops or trainer.get("max_time") is not None)


def _progress(
    run_dir: Path, config: Mapping[str, Any] | None, results: Mapping[str, Any] | None
) -> dict[str, Any]:
    epoch, psnr = _last_epoch(run_dir)
    planned = (config or {}).get("trainer", {}).get("max_epochs")
    return {
        "epoch": max(epoch, (results or {}).get("epochs_done") or 0),
        "epochs": planned if planned is not None and planned >= 0 else None,
        "psnr": psnr,
        "test_psnr": ((results or {}).get("mean") or {}).get("psnr"),
    }


def _last_epoch(run_dir: Path) -> tuple[int, float | None]:
    """Return the epochs in `metrics.csv` that are over, and the best validation PSNR."""
    try:
        with (run_dir / "metrics.csv").open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row.get("epoch")]
        # The test is logged under the epoch after the last.
        over = [int(row["epoch"]) + 1 for row in rows if row.get("train/loss")]
        psnrs = [float(row["val/psnr"]) for row in rows if row.get("val/psnr")]
    except (OSError, ValueError, csv.Error):
        return 0, None
    return max(over, default=0), max((psnr for psnr in psnrs if math.isfinite(psnr)), default=None)
