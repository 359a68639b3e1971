"""A trial that runs: its process, its log, how it is stopped, how it ended."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from cofusion.cluster.plan import Plan
from cofusion.cluster.record import Attempt, Outcome, TrialLock, end_attempt, read_record, write_record
from cofusion.cluster.state import is_complete, read_config, read_results
from cofusion.cluster.trial import Trial

LOG = "log.txt"
# Signals that say nothing about the trial itself: somebody stopped it, or the machine ran out of memory.
_STOPPED = (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1)


class RunningTrial:
    """One start of a trial, in a process of its own; the trial's lock has to be held.

    Args:
        plan: What is to be done.
        trial: The trial.
        lock: Its lock, which the process inherits and `end` gives up.
        prefix: Words before the command, for example `srun`.
        environment: Variables that the trial gets besides those of this process.

    Raises:
        OSError: The run directory cannot be written.
    """

    def __init__(
        self,
        plan: Plan,
        trial: Trial,
        lock: TrialLock,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.plan, self.trial, self.lock = plan, trial, lock
        self.run_dir = plan.run_dir(trial)
        self.stopped = False
        self._asked = 0.0
        self.record = plan.wanted(trial)
        kept = read_record(self.run_dir)
        if kept is None or kept.differences(self.record):
            # Results of another command must not pass for those of this one.
            (self.run_dir / "results.json").unlink(missing_ok=True)
        else:
            self.record.attempts = _closed(kept.attempts)
        self.record.attempts.append(Attempt())
        write_record(self.record, self.run_dir)
        with (self.run_dir / LOG).open("ab") as log:
            self.process = self._start(log, prefix, environment or {})

    def _start(
        self, log: IO[bytes], prefix: Sequence[str], environment: Mapping[str, str]
    ) -> "subprocess.Popen[bytes]":
        assert self.lock.descriptor is not None
        return subprocess.Popen(
            [*prefix, *self.plan.command(self.trial)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # W&B puts the trials of a sweep together.
            env={**os.environ, "WANDB_RUN_GROUP": self.plan.sweep.name, **environment},
            # Ctrl-C reaches the launcher alone, which then stops its trials one way for all signals.
            start_new_session=True,
            pass_fds=(self.lock.descriptor,),
        )

    def poll(self) -> Outcome | None:
        """Return how the trial ended, or None while it runs."""
        status = self.process.poll()
        if status is None:
            return None
        outcome = self._outcome(status)
        with suppress(OSError):  # a full disk must not stop the other trials; without an end it counts as cut
            end_attempt(self.record, self.run_dir, outcome, status)
        self.lock.release()
        return outcome

    def stop(self) -> None:
        """Ask the trial to stop; it goes on from its last checkpoint when it is started again."""
        self.stopped = True
        self._asked = time.monotonic()
        self.process.terminate()

    def overdue(self, grace: float) -> bool:
        """Tell whether the trial was asked to stop more than `grace` seconds ago."""
        return self.stopped and time.monotonic() - self._asked > grace

    def kill(self) -> None:
        """Stop the trial and all that it has started at once."""
        self.stopped = True
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def why(self) -> str:
        """Return the last line of the log, which says what went wrong, and where the log is."""
        path = self.run_dir / LOG
        return f"{last_line(path)} ({path})"

    def _outcome(self, status: int) -> Outcome:
        if is_complete(read_config(self.run_dir), read_results(self.run_dir)):
            return "complete"
        # A trial that is stopped on request may end with 0, one that SLURM queues again with EX_TEMPFAIL; a
        # command under srun ends with 128 + signal.
        ended_by = -status if status < 0 else status - 128
        cut = self.stopped or status in (0, os.EX_TEMPFAIL) or ended_by in _STOPPED
        return "cut" if cut else "failed"


def last_line(log: Path) -> str:
    """Return the last line of a log that says something, without what precedes an error's message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 10_000))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return "no log"
    said = [" ".join(line.split()) for line in lines if line.strip()]
    return said[-1].removeprefix("cofusion: error: ") if said else "it said nothing"


def _closed(attempts: list[Attempt]) -> list[Attempt]:
    """Name the end of an attempt whose launcher was killed before it could."""
    for attempt in attempts:
        attempt.outcome = attempt.outcome or "cut"
    return attempts
