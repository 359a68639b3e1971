"""Fusing on several devices and hosts: Lightning starts or finds the processes, the first one writes.

The first process (rank 0) does all that a single one does. Each of the others fuses a run of the strips that
lack and hands them over one by one; it makes no file, prints nothing, and ends when the first one does.
"""

import logging
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from threading import Thread
from typing import Any, NoReturn

import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import DataLoader

from cofusion.console import quiet
from cofusion.errors import UserError
from cofusion.inference.engine import Clock, Job, Take
from cofusion.inference.handover import end_with_the_first, fuse_and_collect, fuse_and_hand_over
from cofusion.run_dir import check_srun

# However long a strip takes: a process that dies is noticed by its closed connection.
_PATIENCE = timedelta(days=365)


class Team:
    """The processes that share one fusion; each of them makes its own.

    Args:
        devices: Processes on each host.
        nodes: Hosts.
        device: `auto`, `cpu` or `cuda`.

    Attributes:
        rank: The number of this process.
        device: Where it fuses.

    Raises:
        UserError: There are no such devices, or the processes were not started for them.
    """

    def __init__(self, devices: int, nodes: int, device: str) -> None:
        if device not in ("auto", "cpu", "cuda"):
            raise UserError(f"several devices are of one kind: --device auto, cpu or cuda, not {device}")
        check_srun()
        cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
        # Strips are handed over in the CPU's memory, which gloo does.
        strategy = DDPStrategy(process_group_backend="gloo", timeout=_PATIENCE)
        try:
            with _silent():
                self._trainer = Trainer(
                    accelerator="gpu" if cuda else "cpu",
                    devices=devices,
                    num_nodes=nodes,
                    strategy=strategy,
                    logger=False,
                    enable_checkpointing=False,
                    enable_progress_bar=False,
                    enable_model_summary=False,
                    use_distributed_sampler=False,
                )
            environment = strategy.cluster_environment
            assert environment is not None
            environment.validate_settings(devices, nodes)
        except (MisconfigurationException, RuntimeError, ValueError) as error:
            raise UserError(f"cannot use {devices} devices on {nodes} hosts: {error}") from error
        strategy.set_world_ranks()
        self.rank: int = strategy.global_rank
        self.device: torch.device = strategy.root_device
        # Others are there before rank 0 calls them.
        self._awaited = environment.creates_processes_externally or nodes > 1

    def lead(self, job: Job, todo: list[int], clock: Clock, write: Take) -> None:
        """Fuse strips with the others, as rank 0.

        Args:
            job: The fusion.
            todo: Strips of the product that lack.
            clock: Counts along; its seconds in the network are those of rank 0.
            write: Takes a strip's number and values; called by one thread at a time.

        Raises:
            UserError: Another process failed or was killed.
        """
        shares = [part.tolist() for part in np.array_split(np.array(todo, int), self._trainer.world_size)]
        self._predict(shares, partial(fuse_and_collect, job, shares, clock, write))

    def help(self, prepare: Callable[[], Job]) -> NoReturn:
        """Fuse a share of the strips, as another rank; the process ends when rank 0 does.

        Args:
            prepare: Sets up the fusion.
        """
        # Ctrl-C reaches all processes of a terminal; rank 0 has something to say.
        signal.signal(signal.SIGINT, lambda *_: os._exit(0))
        try:
            self._predict(None, partial(fuse_and_hand_over, prepare))
        except BaseException:
            if os.environ.get("COFUSION_TRACEBACK") == "1":
                traceback.print_exc()
        os._exit(1)

    @contextmanager
    def leading(self) -> Iterator[None]:
        """Let the others go where rank 0 fails before it calls them."""
        try:
            yield
        except Exception as error:
            if self._awaited:
                self._predict([[]] * self._trainer.world_size, partial(_fail, error))
            raise

    def _predict(self, shares: list[list[int]] | None, work: Callable[[list[int]], None]) -> None:
        self._awaited = False
        try:
            with _silent():
                self._trainer.predict(_Share(shares, work), return_predictions=False)
        except SystemExit as stop:
            # This is what Lightning makes of Ctrl-C.
            if isinstance(stop.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise


class _Share(LightningModule):
    """What Lightning runs: in each process one batch, the strips that it fuses."""

    def __init__(self, shares: list[list[int]] | None, work: Callable[[list[int]], None]) -> None:
        super().__init__()
        self._shares, self._work = shares, work

    def setup(self, stage: str) -> None:
        if self.global_rank:
            Thread(target=end_with_the_first, daemon=True).start()

    def predict_dataloader(self) -> Any:
        shares = self.trainer.strategy.broadcast(self._shares)
        assert shares is not None
        data: Any = [shares[self.global_rank]]
        return DataLoader(data, batch_size=None)

    def predict_step(self, batch: list[int]) -> list[int]:
        # Lightning's own handler would go on all the same.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._work(batch)
        return batch


def _fail(error: Exception, _: list[int]) -> None:
    raise error


@contextmanager
def _silent() -> Iterator[None]:
    """Keep Lightning's news back."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with quiet():
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
