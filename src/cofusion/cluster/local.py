"""The launcher local: trials on this machine, one after another or several at a time."""

import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from cofusion.cluster.devices import shares
from cofusion.cluster.display import Display
from cofusion.cluster.plan import Plan
from cofusion.cluster.process import RunningTrial
from cofusion.cluster.record import Outcome, TrialLock
from cofusion.cluster.trial import Trial
from cofusion.errors import UserError

_TURN = 0.2  # seconds between two looks
# Seconds that trials have to stop by themselves; SLURM gives a job about as many.
_GRACE = 25.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """The launcher was told to stop, and its trials have.

    Args:
        signum: The signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class LocalLauncher:
    """Run trials, several at a time, each with its own lock, log and share of the machine's devices.

    Args:
        plan: What is to be done.
        jobs: How many trials run at a time.
        prefix: Words before every command, for example `srun`.
        patience: Seconds to wait for the lock of a trial that somebody else is just ending.
    """

    def __init__(self, plan: Plan, jobs: int = 1, prefix: Sequence[str] = (), patience: float = 1.0) -> None:
        self.plan, self.prefix, self.patience = plan, tuple(prefix), patience
        self.places = shares(jobs)
        self.running: dict[int, RunningTrial] = {}
        self.left: dict[str, str] = {}
        self.signals: list[int] = []

    def run(self, trials: Sequence[Trial]) -> dict[str, str]:
        """Run the trials that are not complete.

        Returns:
            Name and reason of each trial that is not complete at the end.

        Raises:
            Stopped: A signal stopped the launcher; every trial has ended and can go on.
        """
        queue = deque(trials)
        with Display(len(trials)) as display, self._listening():
            while self.running or (queue and not self.signals):
                self._fill(queue, display)
                self._pass_on_signals()
                time.sleep(_TURN)
                self._collect(queue, display)
                display.update(self.running.values())
        if self.signals:
            raise Stopped(self.signals[0])
        return self.left

    def _fill(self, queue: deque[Trial], display: Display) -> None:
        """Start trials until every place is taken."""
        for place in range(len(self.places)):
            while queue and place not in self.running and not self.signals:
                trial = queue.popleft()
                try:
                    hindrance = self._start(trial, place)
                except (UserError, OSError) as error:
                    hindrance = str(error)
                if hindrance is None:
                    display.started(self.running[place])
                    continue
                if hindrance:
                    self.left[trial.name] = hindrance
                display.skipped(trial, hindrance or "complete")

    def _start(self, trial: Trial, place: int) -> str | None:
        """Start a trial, or say why not: "" where it is complete."""
        lock = TrialLock(self.plan.run_dir(trial))
        state = self.plan.look(trial)
        if state.name != "running" and (hindrance := self.plan.hindrance(state)) is not None:
            return hindrance
        if not self._acquire(lock):
            return self.plan.hindrance(self.plan.look(trial)) or "runs already"
        try:
            # It may have ended between the look and the lock.
            hindrance = self.plan.hindrance(self.plan.look(trial, locked=True))
            if hindrance is None:
                self.running[place] = RunningTrial(self.plan, trial, lock, self.prefix, self.places[place])
            return hindrance
        finally:
            if place not in self.running:
                lock.release()

    def _acquire(self, lock: TrialLock) -> bool:
        deadline = time.monotonic() + self.patience
        while not lock.acquire():
            if self.signals or time.monotonic() > deadline:
                return False
            time.sleep(_TURN)
        return True

    def _collect(self, queue: deque[Trial], display: Display) -> None:
        """Take note of the trials that have ended."""
        for place, running in list(self.running.items()):
            outcome = running.poll()
            if outcome is None:
                continue
            del self.running[place]
            again = outcome == "failed" and running.record.failures <= self.plan.retries and not self.signals
            display.ended(running, outcome, again)
            if again:
                queue.append(running.trial)
            elif outcome != "complete":
                self.left[running.trial.name] = _reason(running, outcome)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Note signals instead of dying of them; leave no trial behind."""

        def note(signum: int, frame: FrameType | None) -> None:
            self.signals.append(signum)

        earlier = {signum: signal.signal(signum, note) for signum in _SIGNALS}
        try:
            yield
        finally:
            for running in self.running.values():
                running.kill()
            for signum, handler in earlier.items():
                signal.signal(signum, handler)

    def _pass_on_signals(self) -> None:
        """Stop the trials after a signal; kill them after a second one, or when they take too long."""
        if not self.signals:
            return
        for running in self.running.values():
            if not running.stopped:
                running.stop()
            elif len(self.signals) > 1 or running.overdue(_GRACE):
                running.kill()


def _reason(running: RunningTrial, outcome: Outcome) -> str:
    if outcome == "failed":
        return f"failed: {running.why()}"
    return "cut, the same command goes on with it"
