"""What a trial's run directory knows about the trial: `trial.json`, and the lock that one launcher holds."""

import fcntl
import hashlib
import itertools
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml

from cofusion.cluster.trial import Trial
from cofusion.configs import expand_configs
from cofusion.files import write_text

Outcome = Literal["complete", "cut", "failed"]

_FILE, _LOCK = "trial.json", ".trial.lock"


@dataclass
class Attempt:
    """One start of a trial.

    Attributes:
        host: Name of the machine.
        job: SLURM's id of the job or of the array's task; None outside of SLURM.
        began: Time in UTC, ISO 8601.
        ended: Likewise; None while it runs, or where its launcher was killed.
        outcome: How it ended.
        status: Exit status of the command, negative for a signal.
    """

    host: str = field(default_factory=lambda: os.environ.get("SLURMD_NODENAME") or socket.gethostname())
    job: str | None = field(default_factory=lambda: slurm_job())
    began: str = field(default_factory=lambda: _now())
    ended: str | None = None
    outcome: Outcome | None = None
    status: int | None = None

    @property
    def place(self) -> str:
        """The host, and the job where there is one."""
        return f"{self.host}, job {self.job}" if self.job else self.host


@dataclass
class Record:
    """What `trial.json` holds.

    Attributes:
        sweep: Name of the sweep.
        trial: Name of the trial.
        values: Of the trial, by dotted key.
        arguments: Of the `cofusion` command, from `fit` on.
        flags: Those given to the launcher for every trial.
        configs: SHA-256 of the settings of every config in the order of use, under its name.
        attempts: In order.
    """

    sweep: str
    trial: str
    values: dict[str, Any]
    arguments: list[str]
    flags: list[str]
    configs: dict[str, str]
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def failures(self) -> int:
        """How often the trial has failed."""
        return sum(attempt.outcome == "failed" for attempt in self.attempts)

    def differences(self, other: "Record") -> list[str]:
        """Say in what the trial that another record describes is another one."""
        ours, theirs = ([*record.arguments, *record.flags] for record in (self, other))
        found = [word for word in ours if word not in theirs]
        found += [f"not {word}" for word in theirs if word not in ours]
        if not found and ours != theirs:
            found = ["another order of flags"]
        configs = {**self.configs, **other.configs}
        changed = [name for name in configs if self.configs.get(name) != other.configs.get(name)]
        return [*found, *(f"config {name}" for name in changed)]


def describe(sweep: str, trial: Trial, flags: Sequence[str]) -> Record:
    """Describe a trial as it is to be run now.

    Raises:
        UserError: A config that it names does not exist.
    """
    words, _ = expand_configs(trial.arguments(flags))
    files = [Path(path) for word, path in itertools.pairwise(words) if word == "--config"]
    return Record(
        sweep=sweep,
        trial=trial.name,
        values=trial.values,
        arguments=trial.arguments(),
        flags=list(flags),
        configs={f"{path.parent.name}/{path.name}": _sha256(path) for path in files},
    )


def read_record(run_dir: Path) -> Record | None:
    """Read `trial.json`; None where there is none that can be read."""
    try:
        kept = json.loads((run_dir / _FILE).read_text(encoding="utf-8"))
        return Record(**kept | {"attempts": [Attempt(**attempt) for attempt in kept["attempts"]]})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_record(record: Record, run_dir: Path) -> None:
    """Write `trial.json`, whole.

    Raises:
        OSError: The folder cannot be written.
    """
    write_text(run_dir / _FILE, json.dumps(asdict(record), indent=2) + "\n")


def end_attempt(record: Record, run_dir: Path, outcome: Outcome, status: int | None) -> None:
    """Write how the last attempt ended."""
    last = record.attempts[-1]
    last.ended, last.outcome, last.status = _now(), outcome, status
    write_record(record, run_dir)


class TrialLock:
    """Held while a trial runs, by its launcher and by the trial's own process.

    The trial inherits the lock: where its launcher is killed and the trial goes on, no other launcher starts
    it a second time. The system gives the lock up when the last of the two ends, however it ends; between the
    nodes of a cluster too, where their common file system knows `flock`.

    Args:
        run_dir: The trial's run directory.
    """

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / _LOCK
        self.descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock; False where somebody else holds it.

        Raises:
            OSError: The folder cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        if not _flock(descriptor, fcntl.LOCK_EX):
            os.close(descriptor)
            return False
        self.descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock up; a trial that still runs keeps it."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def held(self) -> bool:
        """Tell whether somebody holds the lock."""
        try:
            descriptor = os.open(self.path, os.O_RDWR)
        except OSError:
            return False
        try:
            return not _flock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)


def slurm_job() -> str | None:
    """Return SLURM's id of this job, `123_4` in an array; None outside of SLURM."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sha256(path: Path) -> str:
    """Checksum of what a config says; its comments say nothing."""
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
