"""The efficiency of methods in a report: records of `cofusion benchmark speed`, as figure 9 of the paper."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cofusion.reports.figures.speed_figure import speed_figure
from cofusion.reports.figures.style import save_for_print
from cofusion.reports.pictures import Pictures
from cofusion.reports.records.folders import folders_below

if TYPE_CHECKING:
    from cofusion.speed.record import Row

RECORD = "speed.json"


def find_speeds(folders: Sequence[Path]) -> list[tuple[str, Path]]:
    """Return the records of speed below some folders, at any depth: what each is called, and its file."""
    found = [
        (f"{name}/{RECORD}", folder / RECORD)
        for folder, name, names in folders_below(folders)
        if RECORD in names
    ]
    return sorted(found)


def draw_speeds(speeds: Sequence[tuple[str, Path]], folder: Path, pictures: Pictures) -> None:
    """Draw the records, those of one machine in one figure; one that cannot be read is noted.

    Args:
        speeds: As `find_speeds` returns them.
        folder: The report's; figures go to `figures/` in it, a PNG and a PDF each.
        pictures: Remembers them.

    Raises:
        OSError: The folder cannot be written.
    """
    figures = _together(speeds, pictures.notes)
    for number, (machine, rows) in enumerate(figures, start=1):
        name = Path("figures") / ("efficiency.png" if len(figures) == 1 else f"efficiency_{number}.png")
        save_for_print(speed_figure(rows, machine), folder / name)
        pictures.figures[name] = f"Parameters and latency of a forward pass, {machine}"
        pictures.plots.append(name)


def _together(speeds: Sequence[tuple[str, Path]], notes: list[str]) -> list[tuple[str, list["Row"]]]:
    """Read the records and put those of one machine together, unless they measured the same twice."""
    from cofusion.speed.record import read_record

    found: list[tuple[str, list[Row]]] = []
    for called, path in speeds:
        try:
            machine, rows = read_record(path)
        except (OSError, ValueError):
            notes.append(f"no picture of speeds: {called} is no record of `cofusion benchmark speed`")
            continue
        cases = {_case(row) for row in rows}
        fitting = [one for of, one in found if of == machine and cases.isdisjoint(map(_case, one))]
        if fitting:
            fitting[0].extend(rows)
        else:
            found.append((machine, rows))
    return found


def _case(row: "Row") -> tuple[str, str, int, str]:
    return row.method, row.precision, row.size, row.bands
