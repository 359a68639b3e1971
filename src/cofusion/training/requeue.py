"""SLURM's warning before the time limit: save, have the job queued again, end."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer

from cofusion.console import say
from cofusion.errors import UserError

# Exit status of a run that goes on later (sysexits.h: "the user is invited to retry").
REQUEUED = os.EX_TEMPFAIL


class Requeue(Callback):
    """End a run at the warning signal of its SLURM job, so that the job goes on with it when it starts again.

    The batch script asks for the signal with `#SBATCH --signal=SIGUSR1@90` (SLURM's manual page of sbatch);
    it reaches every process that `srun` started. After the batch then under way the run saves `last`, rank 0
    calls `scontrol requeue`, and all processes end with status 75. A warning in the epoch's last batch or in
    its validation lets both finish, because `last` is saved then anyway; one during the test is obeyed after
    the scene then under way.

    Lightning's own handler would save in the middle of whatever is under way, into a file `hpc_ckpt_N.ckpt`
    with which any later run in the same directory would go on. It keeps back where the signal has a handler.

    Args:
        last: The checkpoint with which the run goes on.
        goes_on: Whether the command, given again, goes on with this run. Otherwise the job is not queued
            again, and the error that ends the run says so.
    """

    def __init__(self, last: Path, goes_on: bool) -> None:
        self.last = last
        self.goes_on = goes_on
        self._warned = False

    @contextmanager
    def listening(self) -> Iterator["Requeue"]:
        """Handle the signal meanwhile. The handler takes a note; everything else is done between batches."""

        def note(*_: object) -> None:
            self._warned = True

        earlier = signal.signal(signal.SIGUSR1, note)
        try:
            yield self
        finally:
            signal.signal(signal.SIGUSR1, earlier)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the run if the warning came since the last batch; the epoch before is saved."""
        if self._anyone_warned(trainer):
            self._end_together(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and end the run if the warning came."""
        # The gradients that a step has gathered so far are in no checkpoint.
        whole_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if whole_step and not trainer.is_last_batch and self._anyone_warned(trainer):
            trainer.save_checkpoint(self.last)
            self._end_together(trainer)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """End the run if the warning came; the test begins anew later."""
        # The others may have more scenes or fewer, so nothing is agreed upon with them; SLURM ends them.
        if self._warned and trainer.is_global_zero:
            self._end(self._queue_again())

    def _anyone_warned(self, trainer: Trainer) -> bool:
        """Tell whether a process of the run was warned; the signal reaches them at different batches."""
        return trainer.strategy.reduce_boolean_decision(self._warned, all=False)

    def _end_together(self, trainer: Trainer) -> NoReturn:
        # Queueing the job again ends it: SLURM sends SIGTERM to processes that are about to end anyway, and
        # Lightning would answer by talking to the other processes while they talk about something else.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        trainer.strategy.barrier()
        problem = self._queue_again() if trainer.is_global_zero else None
        # No process ends before that is done: srun would end the others.
        self._end(trainer.strategy.broadcast(problem))

    def _end(self, problem: str | None) -> NoReturn:
        if problem:
            raise UserError(f"the job's time is nearly over and {self.last} is saved, but {problem}")
        say(f"the job's time is nearly over; it is queued again and goes on with {self.last}")
        raise SystemExit(REQUEUED)

    def _queue_again(self) -> str | None:
        """Have this job queued again; say what keeps it from that."""
        if not self.goes_on:
            return (
                f"the job is not queued again, for its command would begin a new run; give it "
                f"--run_dir {self.last.parents[1]} --ckpt_path last"
            )
        job = _job()
        try:
            subprocess.run(
                ["scontrol", "requeue", job], capture_output=True, text=True, check=True, timeout=60
            )
        except (OSError, subprocess.SubprocessError) as error:
            reason = (getattr(error, "stderr", None) or str(error)).strip()
            return f"SLURM does not queue job {job} again ({reason}); submit the same command again"
        return None


def in_slurm_job() -> bool:
    """Tell whether SLURM started this process, other than in an interactive session."""
    return SLURMEnvironment.detect()


def _job() -> str:
    """The number of this job, or of this task of a job array, which shares SLURM_JOB_ID with the array."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ["SLURM_JOB_ID"]
