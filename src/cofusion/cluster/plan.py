"""What a launcher is asked to do."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cofusion.cluster.record import Record, describe, read_record
from cofusion.cluster.state import State, look
from cofusion.cluster.sweep import Sweep
from cofusion.cluster.trial import Trial


@dataclass(frozen=True)
class Plan:
    """A sweep, and how its trials are to be run.

    Attributes:
        sweep: The sweep.
        root: Folder of run directories; a trial's is `<root>/<sweep>/<trial>`.
        flags: For every trial, after the sweep's own.
        retries: How often a trial that failed is tried again.
        accept_changes: Whether a trial whose command or config was changed since it began goes on.
    """

    sweep: Sweep
    root: Path
    flags: tuple[str, ...] = ()
    retries: int = 0
    accept_changes: bool = False

    @property
    def folder(self) -> Path:
        """The folder of the sweep."""
        return self.root / self.sweep.name

    def run_dir(self, trial: Trial) -> Path:
        """The trial's run directory, absolute."""
        return (self.folder / trial.name).resolve()

    def wanted(self, trial: Trial) -> Record:
        """Describe the trial as it would be started now."""
        return describe(self.sweep.name, trial, self.flags)

    def look(self, trial: Trial, locked: bool = False) -> State:
        """Find out how far a trial is, for this plan (see `state.look`)."""
        return look(self.run_dir(trial), self.wanted(trial), locked)

    def hindrance(self, state: State) -> str | None:
        """Say why a trial is not to be started; None where it is, and "" where it is complete."""
        if state.name == "complete":
            return ""
        if state.name == "running":
            return f"runs already ({state.place})" if state.place else "runs already"
        if state.name == "changed" and not self.accept_changes:
            return (
                f"{state.note}; give the sweep another name, remove the trial's directory, "
                f"or go on all the same with --accept_changes"
            )
        if state.name == "failed" and state.failures > self.retries:
            return f"failed {state.failures} times; --retries {state.failures} tries it again"
        return None

    def command(self, trial: Trial) -> list[str]:
        """The command that starts the trial or goes on with it."""
        return trial.command(self.sweep.name, self.run_dir(trial), self.flags)


def recorded_state(plan: Plan, trial: Trial) -> State:
    """Find out how far a trial is whatever flags it was started with, as for a report."""
    kept = read_record(plan.run_dir(trial))
    return replace(plan, flags=tuple(kept.flags) if kept else ()).look(trial)


def select(trials: Sequence[Trial], wanted: str | None) -> list[Trial]:
    """Pick one trial by index or name, or all of them.

    Raises:
        KeyError: There is no such trial.
    """
    if wanted is None:
        return list(trials)
    for trial in trials:
        if wanted in (str(trial.index), trial.name):
            return [trial]
    raise KeyError(wanted)
