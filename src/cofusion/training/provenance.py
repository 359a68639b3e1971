"""Where the weights of a run come from: what its checkpoints record, joined with what it reached."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cofusion.data import PairDataModule
from cofusion.errors import UserError
from cofusion.models import Provenance
from cofusion.models.describe import class_path


def describe_data(data: PairDataModule) -> dict[str, Any]:
    """Return what a network was trained on as plain values: fields of `cofusion.models.Provenance`."""
    sensors, response, origin = data.sensors, data.sensors.response, data.origin
    return {
        **origin,
        "scenes": class_path(origin["scenes"]) if "scenes" in origin else None,
        "hsi_bands": data.hsi_bands,
        "msi_bands": data.msi_bands,
        "wavelengths": None if data.wavelengths is None else tuple(data.wavelengths.tolist()),
        "scale": data.scale,
        "phase": float(data.phase),
        "psf": tuple(map(tuple, sensors.psf.tolist())),
        "border": sensors.border,
        "response": response.source,
        "response_names": response.names,
        "response_weights": tuple(map(tuple, response.weights.tolist())),
    }


def run_provenance(run_dir: Path, ckpt_path: Path, checkpoint: Mapping[str, Any]) -> Provenance:
    """Join what a checkpoint records with what `results.json` says about the run.

    Args:
        run_dir: The run directory.
        ckpt_path: The checkpoint's file in it.
        checkpoint: Its content; where it was written without a data module, the data stay unknown.

    Returns:
        The provenance; metrics are those of these very weights, or None where they were not tested.

    Raises:
        UserError: The checkpoint's record is of another version, or `results.json` cannot be read.
    """
    try:
        record, steps = checkpoint["cofusion"], int(checkpoint["global_step"])
        known = Provenance(**record.get("data", {}), version=record["version"], steps=steps)
    except (KeyError, TypeError) as error:
        raise UserError(f"{ckpt_path} holds another record than this version writes ({error})") from None
    results = _results(run_dir / "results.json", steps)
    known = replace(known, commit=results.get("commit"), seed=results.get("seed"))
    scenes = results.get("scenes")
    if not scenes or not _tested(results, run_dir, ckpt_path):
        return known
    # A value that is not finite is null there.
    metrics = {name: value for name, value in results["mean"].items() if value is not None}
    return replace(known, test_scenes=tuple(scenes), metrics=metrics)


def _results(path: Path, steps: int) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        # A run that was resumed and then killed has newer weights than results.
        return results if (results["steps"] or 0) >= steps else {}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not the results of a run ({error})") from None


def _tested(results: Mapping[str, Any], run_dir: Path, ckpt_path: Path) -> bool:
    tested: str | None = results.get("checkpoint")
    return tested is not None and (run_dir / tested).resolve() == ckpt_path.resolve()
