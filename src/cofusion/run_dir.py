"""The directory that holds everything about one run."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cofusion.errors import UserError

# Tells the other processes of a distributed run where the first one writes.
ENVIRONMENT = "COFUSION_RUN_DIR"

# What a run leaves that another would overwrite; the config alone is left by one that failed as it began.
_RECORDS = ("results.json", "metrics.csv", "checkpoints", "figures", "images", "predictions")


@contextmanager
def run_directory(verb: str, name: str, given: str | None, resume: bool = False) -> Iterator[Path]:
    """Make the directory of a run; processes started by this one share it.

    A directory that is still empty at the end, because the run failed at once, is taken away again.

    Args:
        verb: `fit`, `validate`, `test` or `predict`.
        name: The run's name.
        given: The directory to use; left out, it is the next free `runs/<name>/<verb>_<n>`.
        resume: Whether the directory may hold a run already.

    Raises:
        UserError: The directory cannot be written, or holds a run.
    """
    shared = os.environ.get(ENVIRONMENT)
    if shared:
        yield Path(shared)
        return
    _check_launcher(given)
    wanted = Path(given).expanduser() if given else Path("runs") / name
    missing = [path for path in (wanted, *wanted.parents) if not path.exists()]
    try:
        directory = (_make(wanted) if given else _next_free(wanted, verb)).resolve()
    except OSError as error:
        raise UserError(
            f"cannot write the run directory {wanted}: {error.strerror}; name another one with --run_dir DIR"
        ) from None
    if not resume:
        _check_unused(directory)
    os.environ[ENVIRONMENT] = str(directory)
    try:
        yield directory
    finally:
        del os.environ[ENVIRONMENT]
        _remove_empty([directory, *missing] if not given else missing)


def check_srun() -> int:
    """Return how many processes a launcher has started; one where there is none.

    Raises:
        UserError: A batch script of several tasks has started this one itself: the others will never come.
    """
    processes = int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or 1)
    if processes > 1 and _is_batch_script():
        raise UserError(
            f"this job has {processes} tasks, but only srun starts them: write `srun cofusion ...`"
        )
    return processes


def _make(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
        return directory


def _next_free(parent: Path, verb: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    n = 0
    while True:
        try:
            # Making it is the test whether it is free: two runs that start together never share one.
            (parent / f"{verb}_{n}").mkdir()
            return _make(parent / f"{verb}_{n}")
        except FileExistsError:
            n += 1


def _check_unused(directory: Path) -> None:
    if any((directory / record).exists() for record in _RECORDS):
        raise UserError(
            f"{directory} holds a run already; choose another --run_dir, or let `fit` go on with it: "
            f"--ckpt_path last"
        )


def _check_launcher(given: str | None) -> None:
    """Processes that a launcher started side by side have no common parent to choose a directory for them."""
    processes = check_srun()
    if given is None and processes > 1:
        raise UserError(
            f"this is one of {processes} processes; name the run directory that they share: --run_dir DIR"
        )


def _is_batch_script() -> bool:
    """Tell whether a SLURM job's script itself started this process, which would wait for the other tasks."""
    names = ("SLURM_JOB_ID", "SLURM_STEP_ID", "WORLD_SIZE")
    in_job, in_step, launched = (name in os.environ for name in names)
    # Lightning takes jobs of these names for interactive sessions, whose tasks are not waited for.
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return in_job and not in_step and not launched and not interactive


def _remove_empty(directories: list[Path]) -> None:
    for directory in directories:
        try:
            directory.rmdir()
        except OSError:  # it holds something, as it should
            return
