"""The results of a sweep, with the seeds of one setting put together."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cofusion.cluster.plan import Plan, recorded_state
from cofusion.cluster.state import read_results
from cofusion.cluster.trial import Trial


@dataclass(frozen=True)
class Group:
    """The complete trials that differ in their seed alone.

    Attributes:
        values: Varied values but for the seed, by dotted key.
        trials: The trials.
        results: What is in `results.json` of each.
    """

    values: dict[str, Any]
    trials: list[Trial]
    results: list[dict[str, Any]]

    def scores(self, method: str | None = None) -> dict[str, list[float]]:
        """Return the mean over the scenes of every metric, a value per trial; what is not finite is left out.

        Args:
            method: A method under `baselines`; the network where left out.
        """
        found: dict[str, list[float]] = {}
        for results in self.results:
            record = results if method is None else results.get("baselines", {}).get(method, {})
            for metric, value in record.get("mean", {}).items():
                found.setdefault(metric, []).extend([] if value is None else [value])
        return found


def groups(plan: Plan) -> tuple[list[Group], list[str]]:
    """Put the complete trials of a sweep together.

    Returns:
        The groups in the sweep's order, and the names of the trials that are not complete.
    """
    varied = [key for key in plan.sweep.varied if not is_seed(key)]
    found: dict[str, Group] = {}
    missing: list[str] = []
    for trial in plan.sweep.trials():
        results = read_results(plan.run_dir(trial))
        if results is None or recorded_state(plan, trial).name != "complete":
            missing.append(trial.name)
            continue
        values = {key: trial.values[key] for key in varied}
        group = found.setdefault(repr(values), Group(values, [], []))
        group.trials.append(trial)
        group.results.append(results)
    return list(found.values()), missing


def best_first(found: Sequence[Group]) -> list[Group]:
    """Sort groups by their mean PSNR, as one reads a search; those without one come last."""

    def psnr(group: Group) -> float:
        values = group.scores().get("psnr")
        return statistics.fmean(values) if values else -math.inf

    return sorted(found, key=psnr, reverse=True)


def is_seed(key: str) -> bool:
    """Tell whether a parameter is the seed."""
    return key.rpartition(".")[2] in ("seed", "seed_everything")


def baselines(found: Sequence[Group]) -> list[tuple[Group, list[str]]]:
    """Return, once for every data set and protocol, a group that measured it and the methods beside it."""
    seen: dict[str, tuple[Group, list[str]]] = {}
    for group in found:
        results = group.results[0]
        seen.setdefault(repr(results.get("protocol")), (group, list(results.get("baselines", {}))))
    return list(seen.values())
