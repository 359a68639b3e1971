"""The launcher slurm: one job array, each of whose tasks runs one trial."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cofusion.cluster.plan import Plan
from cofusion.cluster.trial import Trial
from cofusion.errors import UserError
from cofusion.files import write_text

# Lightning saves and queues the job again when this arrives, so many seconds before the time limit. Without
# "B:" it reaches the trial, which srun started, and not this script.
_SIGNAL = "SIGUSR1@90"

_SCRIPT = """#!/bin/bash
# Written by `cofusion sweep run {sweep} --launcher slurm`. A task of this array runs the trial with its
# number; queued again, it goes on where it stopped.
{options}
cd {cwd}
exec {command} --trial "$SLURM_ARRAY_TASK_ID"{flags}
"""


def submit(plan: Plan, trials: Sequence[Trial], jobs: int, options: Sequence[str], dry_run: bool) -> str:
    """Submit trials as one job array.

    The sweep file is copied beside the script: what is queued stays what it was when the file is changed.

    Args:
        plan: What is to be done.
        trials: The trials to run.
        jobs: How many tasks run at a time; 0 is no limit.
        options: Of sbatch, as `partition=gpu`.
        dry_run: Return the script and submit nothing.

    Returns:
        The job's id, or the script.

    Raises:
        UserError: There is no sbatch here, or it refuses the job.
        OSError: The folder cannot be written.
    """
    if dry_run:
        return script(plan, trials, jobs, options, plan.folder / "slurm" / "N")
    if shutil.which("sbatch") is None:
        raise UserError(
            "sbatch is not found: --launcher slurm submits where SLURM is installed; "
            "--launcher local runs the trials on this machine"
        )
    folder = _next_free(plan.folder / "slurm")
    shutil.copy(plan.sweep.path, folder / f"{plan.sweep.name}.yaml")
    path = folder / "job.sh"
    write_text(path, script(plan, trials, jobs, options, folder))
    done = subprocess.run(["sbatch", "--parsable", str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"sbatch refuses {path}: {' '.join((done.stderr or done.stdout).split())}")
    job = done.stdout.strip().partition(";")[0]
    write_text(folder / "job", f"{job} {' '.join(str(trial.index) for trial in trials)}\n")
    return job


def script(plan: Plan, trials: Sequence[Trial], jobs: int, options: Sequence[str], folder: Path) -> str:
    """Return the script of a job array.

    Args:
        plan: What is to be done.
        trials: The trials to run; a trial's index is its task's.
        jobs: How many tasks run at a time; 0 is no limit.
        options: Of sbatch, as `partition=gpu`; they win over the defaults.
        folder: For the sweep file and the output of the tasks.
    """
    indices = ",".join(str(trial.index) for trial in trials)
    defaults = [
        f"job-name={plan.sweep.name}",
        f"output={folder.resolve()}/%A_%a.out",
        "open-mode=append",
        "requeue",
        f"signal={_SIGNAL}",
    ]
    given = [option.removeprefix("--") for option in options]
    names = {option.partition("=")[0] for option in given}
    kept = [option for option in defaults if option.partition("=")[0] not in names]
    array = f"array={indices}%{jobs}" if jobs else f"array={indices}"
    command = [
        sys.executable,
        *("-m", "cofusion", "sweep", "run", f"{folder.resolve()}/{plan.sweep.name}.yaml"),
        *("--launcher", "slurm", "--runs", str(plan.root.resolve()), "--retries", str(plan.retries)),
        *(["--accept_changes"] if plan.accept_changes else []),
    ]
    return _SCRIPT.format(
        sweep=plan.sweep.path.name,
        options="\n".join(f"#SBATCH --{option}" for option in [*kept, *given, array]),
        cwd=shlex.quote(str(Path.cwd())),
        command=shlex.join(command),
        flags=f" -- {shlex.join(plan.flags)}" if plan.flags else "",
    )


def check_options(options: Sequence[str]) -> None:
    """Refuse options of sbatch that the launcher sets, or that are no `NAME=VALUE`.

    Raises:
        UserError: There is one.
    """
    for option in options:
        name = option.removeprefix("--").partition("=")[0]
        if name in ("array", "a", "parsable") or not name or " " in name or option != option.strip():
            raise UserError(
                f"--sbatch {option!r}: expected NAME=VALUE of an option of sbatch other than array, "
                f"for example partition=gpu"
            )


def submitted(folder: Path) -> dict[int, str]:
    """Return the last job that each trial was submitted with: index of the trial to `123_4`.

    Args:
        folder: The sweep's folder.
    """
    jobs: dict[int, str] = {}
    for path in sorted((folder / "slurm").glob("*/job"), key=lambda path: int(path.parent.name)):
        job, *indices = path.read_text(encoding="utf-8").split()
        jobs.update({int(index): f"{job}_{index}" for index in indices})
    return jobs


def srun() -> list[str]:
    """Return the words that start a trial's processes, as many as the job has tasks.

    Raises:
        UserError: This is no job of SLURM.
    """
    if "SLURM_JOB_ID" not in os.environ:
        raise UserError("--launcher slurm --trial N is for the tasks of a job; leave --trial out to submit")
    # srun does not take this one over from the job (since SLURM 22.05).
    cpus = os.environ.get("SLURM_CPUS_PER_TASK")
    return ["srun", "--kill-on-bad-exit=1", *([f"--cpus-per-task={cpus}"] if cpus else [])]


def _next_free(parent: Path) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    n = 0
    while True:
        try:
            (parent / str(n)).mkdir()
            return parent / str(n)
        except FileExistsError:
            n += 1
