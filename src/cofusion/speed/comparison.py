"""Comparing methods: one row for each of them under each of the conditions."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.speed.case import Case, compiler
from cofusion.speed.costs import Cost, costs
from cofusion.speed.methods import COFUSION, make, title
from cofusion.speed.record import Row
from cofusion.speed.timing import Jobs, in_turn, milliseconds, ratio, warm_up


def compare(
    methods: Sequence[str],
    cases: Sequence[Case],
    *,
    device: str = "cpu",
    threads: int = 1,
    turns: int = 15,
    seconds: float = 10.0,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[list[Row]]:
    """Measure methods side by side.

    Args:
        methods: Names of the methods; CoFusion is measured with them in any case, and first.
        cases: The conditions.
        device: Where they compute: `cpu`, `cuda`, `cuda:1`.
        threads: Of the CPU.
        turns: How often each is timed.
        seconds: A method that has taken longer than this for a case takes part in no more of its turns.
        say: Called with what comes next.

    Yields:
        For each case, a row for each method.

    Raises:
        UserError: There is no such method, or one cannot compute there under one of the conditions.
    """
    methods = [COFUSION, *(name for name in dict.fromkeys(methods) if name != COFUSION)]
    titles = {name: title(name) for name in methods}
    known: dict[str, list[Cost]] = {}
    for name in methods:
        say(f"memory and multiply-adds: {titles[name]}")
        with _explained(titles[name], device):
            known[name] = costs(name, cases, device)
    for number, case in enumerate(cases):
        with _threads(threads), compiler(case):
            jobs = _jobs(methods, case, device)
            for name in methods:
                say(f"warm-up: {titles[name]}, {case}")
                with _explained(titles[name], device):
                    warm_up({name: jobs[name]}, device, seconds)
            say(f"timing: {case}")
            taken = in_turn(jobs, turns, device=device, seconds=seconds)
        yield _rows(
            case, {titles[name]: taken[name] for name in methods}, [known[n][number] for n in methods]
        )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _explained(name: str, device: str) -> Iterator[None]:
    """Say in one line that a method cannot compute, for example because the memory does not suffice."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"{name} does not run on {device} ({reason}); choose others with --methods, --sizes, --precision"
        ) from error


def _jobs(methods: Sequence[str], case: Case, device: str) -> Jobs:
    inputs = case.inputs(device)
    nets = {name: make(name, *case.bands, case.scale).to(device).eval() for name in methods}
    return {name: partial(_forward, case, case.prepare(net), inputs, device) for name, net in nets.items()}


def _forward(case: Case, run: Any, inputs: tuple[Tensor, Tensor], device: str) -> None:
    with case.conditions(device):
        run(*inputs)


def _rows(case: Case, taken: Mapping[str, Sequence[float]], known: Sequence[Cost]) -> list[Row]:
    first = next(iter(taken.values()))
    return [
        Row(
            method=name,
            precision=case.precision,
            size=case.size,
            bands=case.bands_text,
            turns=len(times),
            latency_ms=milliseconds(times),
            mpixels_per_s=case.batch * case.size**2 / 1e6 / statistics.median(times),
            peak_mib=None if cost.peak is None else cost.peak / 2**20,
            parameters=cost.parameters,
            multiply_adds=cost.multiply_adds // case.batch,
            ratio=ratio(times, first),
        )
        for (name, times), cost in zip(taken.items(), known, strict=True)
    ]
