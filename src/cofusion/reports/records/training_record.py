"""The training of the weights that a run tests."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cofusion.cluster.state import is_complete, read_config, read_results
from cofusion.reports.records.contradictions import check_epochs
from cofusion.reports.records.run_checks import UnusableError, check_training, plain


@dataclass(frozen=True)
class Training:
    """How the weights that a run tests were trained.

    Attributes:
        folder: The run directory of the training; the run's own where nothing was trained.
        config: Its `config.yaml`; None where nothing was trained, or where it cannot be told.
        results: Its `results.json`; the run's own where there is none.
    """

    folder: Path
    config: Mapping[str, Any] | None
    results: Mapping[str, Any]


def read_training(folder: Path, results: Mapping[str, Any], config: Mapping[str, Any]) -> Training:
    """Find the training of a run's weights, and check that it came to its end.

    Args:
        folder: The run directory.
        results: Its `results.json`.
        config: Its `config.yaml`.

    Raises:
        UnusableError: The training stopped early or is not known to be one, or its record is damaged.
    """
    parameters, done = results.get("parameters"), results.get("epochs_done")
    if parameters is None:
        raise UnusableError("results.json records no number of parameters: nobody can tell what was trained")
    if parameters == 0 and done is None:
        return Training(folder, None, results)
    if parameters == 0:
        raise UnusableError(f"contradicts itself: {done} epochs done by a method without parameters")
    if done is None:
        raise UnusableError("its weights were not trained: no epoch is recorded")
    trainer = trainer_of(folder, str(results.get("checkpoint") or ""))
    if trainer == folder:
        return _complete(Training(folder, config, results))
    trained, reached = read_config(trainer), read_results(trainer)
    if trained is None or reached is None:
        return Training(folder, None, results)
    reached = plain(reached, f"results.json of {trainer.name}")
    check_training(reached)
    return _complete(Training(trainer, plain(trained, f"config.yaml of {trainer.name}"), reached))


def trainer_of(folder: Path, checkpoint: str) -> Path:
    """Return the run directory whose `checkpoints` folder holds a checkpoint.

    Args:
        folder: A run directory.
        checkpoint: As its results record it: a path, absolute or from there. Below the folder itself it is
            the run's own.
    """
    path = Path(os.path.normpath(folder / checkpoint))
    return folder if path.is_relative_to(os.path.normpath(folder)) else path.parent.parent


def _complete(training: Training) -> Training:
    results, config = training.results, training.config or {}
    check_epochs(results, config)
    try:
        complete = is_complete({**config, "test_after_fit": False}, results)
    except (AttributeError, TypeError):
        raise UnusableError("the config of its training is damaged: trainer") from None
    if not complete:
        raise UnusableError(
            f"stopped early: {results.get('epochs_done')} of {results.get('epochs_planned')} epochs"
        )
    return training
