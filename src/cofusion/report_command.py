"""The verb report: the paper's tables from recorded runs, beside the paper's numbers.

Only what `cofusion report --help` needs is imported here.
"""

import re
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from cofusion.cli import Parser, UsageError
from cofusion.errors import UserError

# Of a scene; a figure has a letter for each.
MOST_PIXELS = 3


def run(verb: str, args: list[str]) -> None:
    """Run the verb.

    Args:
        verb: `report`.
        args: The arguments after it.

    Raises:
        UsageError: The arguments cannot be understood.
        UserError: No run can be used, the target holds something already, or with `--strict` something would
            have to be separated or left out.
    """
    from cofusion.reports.report import read_report, write_report

    given = _parser(verb).parse_args(args)
    runs, target = [folder.expanduser() for folder in given.runs], given.output.expanduser()
    _check_target(target, runs, given.overwrite)
    report = read_report(*runs)
    if given.strict:
        report.check_strictly()
    notes = write_report(report, target, _pixels(given.pixel))
    for one in report.left_out:
        print(f"left out: {one.name}: {one.reason}", file=sys.stderr)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"wrote {target}: report.md and index.html of {len(report.runs)} runs", flush=True)


def _parser(verb: str) -> ArgumentParser:
    parser = Parser(
        f"cofusion {verb}",
        description="Make the paper's tables from the results.json of every run below some folders, with "
        "the paper's numbers beside them. Nothing is trained or tested.",
        epilog="example: cofusion report runs -o report",
    )
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUNS_DIR", help="folder of run directories, at any depth"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("report"), metavar="DIR", help="folder to write (report)"
    )
    parser.add_argument(
        "--pixel",
        action="append",
        default=[],
        metavar="SCENE:ROW,COL",
        help="draw the spectra of this pixel, up to three for a scene, instead of pixels chosen by itself",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="write over an earlier report, which goes as a whole"
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse runs that would have to be left out, and different protocols of one data set and scale",
    )
    return parser


def _pixels(given: list[str]) -> dict[str, list[tuple[int, int]]]:
    """Read pixels by scene.

    Raises:
        UsageError: One is written otherwise, or there are too many.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for text in given:
        match = re.fullmatch(r"(.+):(\d+),(\d+)", text)
        if match is None:
            raise UsageError(f"--pixel {text}: expected SCENE:ROW,COL, for example balloons:98,128")
        found.setdefault(match[1], []).append((int(match[2]), int(match[3])))
    for scene, pixels in found.items():
        if len(pixels) > MOST_PIXELS:
            raise UsageError(f"--pixel: {len(pixels)} pixels of {scene}; give {MOST_PIXELS} at most")
    return found


def _check_target(target: Path, runs: Sequence[Path], overwrite: bool) -> None:
    """Refuse a target before anything is read: nothing but an earlier report is ever replaced."""
    from cofusion.reports.marker import MARKER, stranger

    for folder in runs:
        if target.resolve() in (folder.resolve(), *folder.resolve().parents):
            raise UserError(
                f"{target} holds the runs in {folder}; name a folder of its own for the report: -o DIR"
            )
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not (target / MARKER).is_file():
        raise UserError(f"{target} exists and is no report; name another folder: -o DIR")
    if (other := stranger(target)) is not None:
        raise UserError(
            f"{target} holds {other}, which is no part of the report there; move it away or name another "
            f"folder: -o DIR"
        )
    if not overwrite:
        raise UserError(f"{target} holds a report; --overwrite replaces it, or name another folder: -o DIR")
