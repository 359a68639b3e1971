"""Strips on their way from the processes that fuse them to the one that writes them, by torch.distributed."""

import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import zip_longest
from threading import Event, Lock, Thread
from typing import Any

import torch
import torch.distributed as dist

from cofusion.errors import UserError
from cofusion.inference.engine import Clock, Job, Take, fuse_strips, pass_on
from cofusion.inference.images import Array

_END = 1  # the tag of the message that ends a process


def fuse_and_collect(job: Job, shares: list[list[int]], clock: Clock, write: Take, own: list[int]) -> None:
    """Fuse the strips of rank 0, and write them and those that the others hand over.

    Args:
        job: The fusion.
        shares: The strips of each rank.
        clock: Counts along; its seconds in the network are those of this process.
        write: Takes a strip's number and values; called by one thread at a time.
        own: The strips of this process.

    Raises:
        UserError: Another process failed or was killed.
    """
    lock, tick = Lock(), clock.tick
    failures: list[BaseException] = []

    def write_alone(number: int, values: Array) -> None:
        with lock:
            write(number, values)

    def take() -> None:
        try:
            for number, values in _received(job, shares, clock):
                write_alone(number, values)
                for _ in job.tiling.across():
                    tick()
        except BaseException as failure:
            failures.append(failure)

    def check() -> None:
        if failures:
            raise failures[0]

    def checked_tick() -> None:
        check()
        tick()

    clock.tick = checked_tick
    taking = Thread(target=take, daemon=True)
    taking.start()
    try:
        pass_on(fuse_strips(job, own, clock), write_alone)
        taking.join()
        check()
    except BaseException:
        # The thread waits for them, and Python does not end well with a thread that waits in C++.
        _end_the_others(len(shares))
        taking.join()
        raise


def _received(job: Job, shares: list[list[int]], clock: Clock) -> Iterator[tuple[int, Array]]:
    """Receive the strips of the others, in turn; one is in memory at a time."""
    strips, tiles = job.tiling.down(), [0] * len(shares)
    for numbers in zip_longest(*shares[1:]):
        for rank, number in enumerate(numbers, start=1):
            if number is None:
                continue
            rows = strips[number].stop - strips[number].start
            values = torch.empty(job.lr_hsi.shape[0], rows, job.tiling.cols)
            said: list[Any] = [None]
            try:
                dist.recv_object_list(said, rank)
                done, failure = said[0]
                if failure is None:
                    dist.recv(values, rank)
            except RuntimeError as error:
                raise UserError(
                    f"process {rank} of {len(shares)} is gone; it may have been killed"
                ) from error
            if failure is not None:
                raise failure
            clock.tiles, tiles[rank] = clock.tiles + done - tiles[rank], done
            yield number, values.numpy()


def fuse_and_hand_over(prepare: Callable[[], Job], own: list[int]) -> None:
    """Fuse the strips of another rank and hand them over, or what went wrong; does not return.

    Args:
        prepare: Sets up the fusion.
        own: The strips of this process.
    """
    clock = Clock()

    def hand_over(_: int, values: Array) -> None:
        dist.send_object_list([(clock.tiles, None)], 0)
        dist.send(torch.from_numpy(values), 0)

    try:
        if own:
            pass_on(fuse_strips(prepare(), own, clock), hand_over)
    except (UserError, OSError) as error:
        dist.send_object_list([(0, UserError(str(error)))], 0)
    except Exception:
        dist.send_object_list([(0, RuntimeError(traceback.format_exc()))], 0)
    Event().wait()


def _end_the_others(processes: int) -> None:
    for rank in range(1, processes):
        # One that is gone needs no word.
        with suppress(RuntimeError):
            dist.send(torch.zeros(1), rank, tag=_END)


def end_with_the_first() -> None:
    """End this process when rank 0 says so or ends, in whatever way: then the connection closes."""
    try:
        dist.recv(torch.empty(1), 0, tag=_END)
    finally:
        os._exit(0)
