"""Timing in turn, on a clock that the jobs move."""

import math

import pytest

from cofusion.speed import timing


@pytest.fixture
def clock(monkeypatch):
    """What the jobs did in order, and a maker of jobs that take the given times one after another."""
    now, order = [0.0], []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def job(name, *seconds):
        left = iter(seconds)

        def run():
            order.append(name)
            now[0] += next(left)

        return run

    return order, job


def test_jobs_take_turns(clock):
    order, job = clock
    taken = timing.in_turn({"a": job("a", 1, 2, 3), "b": job("b", 4, 5, 6)}, 3)
    assert order == ["a", "b"] * 3
    assert taken == {"a": [1, 2, 3], "b": [4, 5, 6]}


def test_a_slow_job_sits_out_the_turns_that_are_left(clock):
    _, job = clock
    taken = timing.in_turn({"a": job("a", 1, 1, 1, 1), "slow": job("slow", 6, 6)}, 4, seconds=10)
    assert taken == {"a": [1, 1, 1, 1], "slow": [6, 6]}
    assert timing.ratio(taken["slow"], taken["a"]) == 6


def test_ratio_is_the_median_of_the_turns_own_ratios():
    # A turn in which the machine was busy hits both, and the ratio not at all.
    assert timing.ratio([2, 20, 9], [1, 10, 3]) == 2
    assert timing.ratio([2, 3], [1, 1]) == 2.5
    assert timing.milliseconds([0.001, 0.5, 0.002]) == 2


@pytest.mark.parametrize(("seconds", "runs"), [(math.inf, 2), (5, 2), (4, 1)])
def test_warm_up_runs_twice_unless_that_takes_long(clock, seconds, runs):
    order, job = clock
    timing.warm_up({"a": job("a", 5, 1)}, seconds=seconds)
    assert order == ["a"] * runs
