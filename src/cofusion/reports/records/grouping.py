"""Which runs belong together: the same pairs, one run per seed."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any, TypeVar

from cofusion.reports.records.runs import LeftOut, Run

T = TypeVar("T")

# Two measurements of the same weights on other hardware, and of the same pairs, agree as closely as this.
_AGREE = {"rel_tol": 1e-4, "abs_tol": 1e-5}


def grouped(items: Iterable[T], key: Callable[[T], str]) -> list[list[T]]:
    """Put items of one key together, in the order in which the keys first come."""
    found: dict[str, list[T]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return list(found.values())


def fingerprint(value: Any) -> str:
    """Return a text that equal nested settings share."""
    return json.dumps(_rounded(value), sort_keys=True, default=str)


def _rounded(value: Any) -> Any:
    """Round numbers to six digits: what was estimated from a pair may differ in the last ones."""
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(f"{value:.6g}")
    return value


def agree(some: Mapping[str, float], others: Mapping[str, float]) -> bool:
    """Tell whether the metrics that two measurements share are the same, up to rounding."""
    return all(math.isclose(some[key], others[key], **_AGREE) for key in some.keys() & others.keys())


def same_pairs(runs: list[Run]) -> list[list[Run]]:
    """Divide runs of one recorded protocol by what bicubic interpolation made of their pairs.

    A run that measured none, or in other metrics than all others, may have seen anybody's pairs: it stands
    apart as soon as there are several.
    """
    if all(agree(_interpolated(run), _interpolated(other)) for run, other in combinations(runs, 2)):
        return [runs]
    groups: list[list[Run]] = []
    for run in runs:
        group = next((group for group in groups if all(_saw_the_same(run, other) for other in group)), None)
        if group is None:
            groups.append([run])
        else:
            group.append(run)
    return groups


def _interpolated(run: Run) -> dict[str, float]:
    return {
        f"{metric} of {name}": value
        for name, numbers in run.baselines.items()
        for metric, value in numbers.items()
    }


def _saw_the_same(run: Run, other: Run) -> bool:
    one, another = _interpolated(run), _interpolated(other)
    if not one and not another:
        return True
    return bool(one.keys() & another.keys()) and agree(one, another)


def one_per_seed(runs: list[Run]) -> tuple[list[Run], list[LeftOut]]:
    """Keep one run of every seed, and none where those of a seed have different numbers.

    Returns:
        The runs kept, sorted by seed, each with the metrics that only its twins have, and the others with the
        reason.
    """
    kept, rejected = [], []
    for same in grouped(runs, lambda run: str(run.seed)):
        first, *others = sorted(same, key=lambda run: (not run.tests_itself, run.name))
        if any(not agree(one.scores, other.scores) for one, other in combinations(same, 2)):
            rejected += [LeftOut(run.name, _contradiction(run, same)) for run in same]
            continue
        twins = tuple(other for other in others if first.scores.keys() & other.scores.keys())
        kept.append(replace(first, twins=twins))
        rejected += [LeftOut(other.name, _repetition(other, first)) for other in others]
    return sorted(kept, key=lambda run: (run.seed is None, run.seed or 0)), rejected


def _repetition(run: Run, first: Run) -> str:
    if not run.scores.keys() & first.scores.keys():
        return f"shares no metric with {first.name}: nobody can tell whether it tested the same weights"
    more = ", ".join(metric for metric in run.scores if metric not in first.scores)
    return f"the same numbers as {first.name}: counted once{f', with its {more}' if more else ''}"


def _contradiction(run: Run, same: list[Run]) -> str:
    others = ", ".join(other.name for other in same if other is not run)
    seed = "" if run.seed is None else f" and seed {run.seed}"
    metric = next(
        metric
        for one, other in combinations(same, 2)
        for metric in one.scores
        if metric in other.scores and not agree({metric: one.scores[metric]}, other.scores)
    )
    numbers = ", ".join(f"{other.scores[metric]:.4f}" for other in same if metric in other.scores)
    return f"contradicts {others}: the same method, recipe{seed}, but {metric} {numbers}"
