"""The verb sweep: run the trials of a sweep file, say how far they are, put their results into a table.

Only what `cofusion sweep --help` needs is imported here.
"""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cofusion.cli import Parser, UsageError
from cofusion.errors import UserError

if TYPE_CHECKING:
    from cofusion.cluster.groups import Group
    from cofusion.cluster.plan import Plan
    from cofusion.cluster.trial import Trial
    from cofusion.reports.tables.spread import SpreadTable

_FORMATS = {"markdown": "md", "csv": "csv", "latex": "tex"}
# As many reasons as fit a line that is read.
_SHOWN = 3


def run(verb: str, args: list[str]) -> None:
    """Run the verb.

    Args:
        verb: `sweep`.
        args: The arguments after it.

    Raises:
        UsageError: The arguments cannot be understood.
        UserError: The file is no sweep that can be run, or trials are not complete at the end.
        SystemExit: A signal stopped the launcher.
    """
    ours, flags = (
        (args[: args.index("--")], args[args.index("--") + 1 :]) if "--" in args else (args, list[str]())
    )
    given = _parser(verb).parse_args(ours)
    if flags and given.call is not _run:
        raise UsageError("flags after -- are for `cofusion sweep run`")
    given.flags = flags
    given.call(given)


def _parser(verb: str) -> ArgumentParser:
    parser = Parser(
        f"cofusion {verb}",
        description="Sweeps: many runs from one file in W&B's sweep format, without its server.",
    )
    verbs = parser.add_subparsers(required=True, metavar="{run,status,table}")

    runs = verbs.add_parser(
        "run",
        help="run the trials that are not complete",
        usage="cofusion sweep run FILE [options] [-- FLAGS for every trial]",
        description="Run the trials of a sweep that are not complete: those that were cut go on, those that "
        "failed are tried again as often as --retries says. Started again, it goes on where it stopped. "
        "What follows -- is added to every trial's command.",
        epilog="example: cofusion sweep run sweep/ablation.yaml --jobs 2 -- --data.root DIR",
    )
    runs.add_argument("--launcher", choices=("local", "slurm"), default="local", help="where (local)")
    runs.add_argument("--jobs", type=_count, metavar="N", help="trials at a time (local: 1, slurm: no limit)")
    runs.add_argument(
        "--retries", type=int, default=0, metavar="N", help="how often a failed trial is tried again (0)"
    )
    runs.add_argument("--trial", metavar="N", help="this trial alone, by number or name")
    runs.add_argument(
        "--sbatch", nargs="+", action="extend", default=[], metavar="NAME=VALUE",
        help="options of sbatch: partition=gpu time=8:00:00 gpus=1",
    )  # fmt: skip
    runs.add_argument("--dry_run", action="store_true", help="print the commands or the script; run nothing")
    runs.add_argument(
        "--accept_changes",
        action="store_true",
        help="go on with trials whose command or config was changed since they began",
    )
    runs.set_defaults(call=_run)

    status = verbs.add_parser(
        "status", help="how far each trial is", description="Say how far each trial is, and where it runs."
    )
    status.set_defaults(call=_status)

    table = verbs.add_parser(
        "table",
        help="means and spread over seeds, as a table and a picture",
        description="Print means and spread over the seeds of the complete trials, and write table.md, "
        "table.csv, table.tex and table.png into the sweep's folder.",
    )
    table.add_argument(
        "--format", choices=tuple(_FORMATS), default="markdown", help="what to print (markdown)"
    )
    table.add_argument("--output", "-o", type=Path, metavar="DIR", help="folder (that of the sweep's trials)")
    table.set_defaults(call=_table)
    for command in (runs, status, table):
        command.add_argument("file", metavar="FILE", help="a sweep file, or the name of a shipped one")
        command.add_argument(
            "--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of run directories (runs)"
        )
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or text == "0":
        raise ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _plan(given: Namespace) -> "Plan":
    from cofusion.cluster.plan import Plan
    from cofusion.cluster.sweep import read_sweep

    flags: list[str] = getattr(given, "flags", [])
    sweep = read_sweep(given.file)
    sweep.check_flags(flags)
    return Plan(
        sweep,
        given.runs.expanduser(),
        tuple(flags),
        getattr(given, "retries", 0),
        getattr(given, "accept_changes", False),
    )


# --- run ----------------------------------------------------------------------------------------------
def _run(given: Namespace) -> None:
    from cofusion.cluster.plan import select

    plan = _plan(given)
    every = plan.sweep.trials()
    try:
        trials = select(every, given.trial)
    except KeyError:
        raise UserError(
            f"--trial {given.trial}: {plan.sweep.path.name} has the trials 0 to {len(every) - 1}, "
            f"or by name {every[0].name} ..."
        ) from None
    if given.launcher == "slurm" and given.trial is None:
        _submit(plan, trials, given)
    elif given.sbatch:
        raise UsageError("--sbatch is for --launcher slurm")
    elif given.dry_run:
        _print_commands(plan, trials)
    else:
        _launch(plan, trials, given)


def _launch(plan: "Plan", trials: "Sequence[Trial]", given: Namespace) -> None:
    from cofusion.cluster.local import LocalLauncher, Stopped
    from cofusion.cluster.slurm import srun

    if given.launcher == "slurm":
        # A job that is queued again may begin before the file system has noticed the end of its last start.
        launcher = LocalLauncher(plan, prefix=srun(), patience=60)
    else:
        launcher = LocalLauncher(plan, given.jobs or 1)
    try:
        left = launcher.run(trials)
    except Stopped as stopped:
        raise SystemExit(_stopped(stopped.signum)) from None
    print(f"{len(trials) - len(left)} of {len(trials)} trials complete; results: {plan.folder}", flush=True)
    if left:
        reasons = [f"{name} ({why})" for name, why in left.items()]
        more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
        raise UserError(
            f"{len(left)} of {len(trials)} trials are not complete: {'; '.join(reasons[:_SHOWN])}{more}"
        )


def _stopped(signum: int) -> int:
    print("stopped; the same command goes on with what was cut", flush=True)
    return 128 + signum


def _print_commands(plan: "Plan", trials: "Sequence[Trial]") -> None:
    import shlex

    for trial in trials:
        why = plan.hindrance(plan.look(trial))
        print(f"# {trial.name}: {why or 'complete'}" if why is not None else shlex.join(plan.command(trial)))


def _submit(plan: "Plan", trials: "Sequence[Trial]", given: Namespace) -> None:
    from cofusion.cluster.slurm import check_options, submit

    check_options(given.sbatch)
    todo = []
    for trial in trials:
        why = plan.hindrance(plan.look(trial))
        if why is None:
            todo.append(trial)
        elif not given.dry_run:
            print(f"{trial.name}: {why or 'complete'}", flush=True)
    if not todo:
        print("nothing to submit", flush=True)
        return
    job = submit(plan, todo, given.jobs or 0, given.sbatch, given.dry_run)
    if given.dry_run:
        print(job, end="")
        return
    print(f"submitted {len(todo)} of {len(trials)} trials as job {job}", flush=True)
    print(f"cofusion sweep status {given.file}", flush=True)


# --- status -------------------------------------------------------------------------------------------
def _status(given: Namespace) -> None:
    from cofusion.cluster.plan import recorded_state
    from cofusion.cluster.slurm import submitted

    plan = _plan(given)
    jobs = submitted(plan.folder)
    rows = [("trial", "state", "epoch", "best PSNR", "test PSNR", "where", "")]
    states = Counter[str]()
    for trial in plan.sweep.trials():
        state = recorded_state(plan, trial)
        states[state.name] += 1
        queued = f"job {jobs[trial.index]}" if state.name == "waiting" and trial.index in jobs else ""
        rows.append(
            (
                f"{trial.index} {trial.name}",
                state.name,
                f"{state.epoch}/{'?' if state.epochs is None else state.epochs}" if state.epoch else "-",
                "-" if state.psnr is None else f"{state.psnr:.2f}",
                "-" if state.test_psnr is None else f"{state.test_psnr:.2f}",
                state.place or queued or "-",
                state.note,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(", ".join(f"{count} {name}" for name, count in states.items()), flush=True)


# --- table --------------------------------------------------------------------------------------------
def _table(given: Namespace) -> None:
    from cofusion.cluster.groups import groups
    from cofusion.files import write_text
    from cofusion.reports.figures.spread_figure import spread_figure
    from cofusion.reports.figures.style import save_figure
    from cofusion.reports.tables.ablation import PAPER
    from cofusion.reports.tables.sweep_table import is_ablation

    plan = _plan(given)
    found, missing = groups(plan)
    if not found:
        raise UserError(
            f"no trial of {plan.sweep.path.name} is complete in {plan.folder}; "
            f"first: cofusion sweep run {given.file}"
        )
    table = _make_table(plan, found)
    texts = {"markdown": table.markdown(), "csv": table.csv(), "latex": table.latex()}
    folder = given.output.expanduser() if given.output else plan.folder
    for name, suffix in _FORMATS.items():
        write_text(folder / f"table.{suffix}", texts[name])
    beside = PAPER if is_ablation(found) else {}
    save_figure(spread_figure(table, beside, plan.sweep.name), folder / "table.png")
    print(texts[given.format], end="", flush=True)
    total = len(plan.sweep.trials())
    if missing:
        print(
            f"note: {len(missing)} of {total} trials are not complete and not in the table", file=sys.stderr
        )
    print(f"wrote {folder}/table.md, .csv, .tex and .png", file=sys.stderr, flush=True)


def _make_table(plan: "Plan", found: "list[Group]") -> "SpreadTable":
    from cofusion.cluster.groups import best_first
    from cofusion.reports.tables.sweep_table import ablated, is_ablation, sweep_ablation_table, sweep_table

    if not is_ablation(found):
        return sweep_table(best_first(found) if plan.sweep.random else found)
    runs = {ablated(group) or "": plan.run_dir(group.trials[0]) for group in found}
    return sweep_ablation_table(found, *_latency(plan.folder / "latency.json", runs))


def _latency(kept: Path, runs: dict[str, Path]) -> tuple[dict[str, float], str]:
    """Measure the latency once; later tables of the same trials show the same."""
    from cofusion.files import write_text
    from cofusion.latency import SIZE, latencies

    names = {name: run.name for name, run in runs.items()}
    try:
        record = json.loads(kept.read_text(encoding="utf-8"))
        if record["runs"] == names:
            return record["ms"], record["device"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        found, device = latencies(runs)
    except UserError as error:
        print(f"note: no latency: {error}", file=sys.stderr, flush=True)
        return {}, ""
    device = f"one {SIZE} x {SIZE} image, {device}"
    write_text(kept, json.dumps({"runs": names, "ms": found, "device": device}, indent=1) + "\n")
    return found, device
