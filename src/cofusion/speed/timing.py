"""Timing several jobs in turn, so that whatever else the machine does hits all alike."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch

Jobs = Mapping[str, Callable[[], object]]
_WARM_UP = 2


def warm_up(jobs: Jobs, device: str = "cpu", seconds: float = math.inf) -> None:
    """Run every job twice, or once where that takes longer than `seconds`.

    The first runs compile, choose algorithms and fill caches.
    """
    for job in jobs.values():
        if _time(job, device) <= seconds:
            for _ in range(_WARM_UP - 1):
                job()
    _wait(device)


def in_turn(
    jobs: Jobs, turns: int, *, device: str = "cpu", seconds: float = math.inf
) -> dict[str, list[float]]:
    """Time every job once per turn.

    Args:
        jobs: What is timed, by name; warmed up.
        turns: How often.
        device: Where the jobs compute; a GPU is waited for.
        seconds: A job that has taken longer than this sits out the turns that are left.

    Returns:
        Name to seconds, one for every turn that the job took part in: the first ones.
    """
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(turns):
        for name, job in jobs.items():
            if sum(taken[name]) <= seconds:
                taken[name].append(_time(job, device))
    return taken


def ratio(of: Sequence[float], over: Sequence[float]) -> float:
    """Return the median, over the turns that both jobs took part in, of the ratio of their times."""
    return statistics.median(a / b for a, b in zip(of, over, strict=False))


def milliseconds(seconds: Sequence[float]) -> float:
    """Return the median time in ms."""
    return 1000 * statistics.median(seconds)


def _time(job: Callable[[], object], device: str) -> float:
    _wait(device)
    began = time.perf_counter()
    job()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
