"""A report as a web page: the same tables, pictures and statements as in its other files."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cofusion.reports.page import Cell, PageTable, build_page, figure_uri
from cofusion.reports.pictures import Pictures
from cofusion.reports.records.runs import LeftOut, Run
from cofusion.reports.tables.spread import SpreadTable

Facts = Sequence[tuple[str, str]]

# Of a run's results, in words of the page.
_RECORDED = {
    "checkpoint": "checkpoint",
    "device": "tested on",
    "commit": "commit",
    "version": "version",
}


def report_page(
    tables: Iterable[tuple[str, SpreadTable]],
    statement: str,
    runs: Iterable[Run],
    left_out: Iterable[LeftOut],
    pictures: Pictures,
    folder: Path,
) -> str:
    """Make the page.

    Args:
        tables: Heading and table.
        statement: Of the protocol, in Markdown.
        runs: That the tables count.
        left_out: That they do not.
        pictures: What was drawn.
        folder: Of the report, where the figures lie.
    """
    return build_page(
        "Results",
        tables=[page_table(title, table) for title, table in tables],
        scenes=pictures.scenes,
        figures=[(pictures.figures[path], figure_uri(folder / path)) for path in pictures.plots],
        protocol=statement_facts(statement),
        runs=[(run.name, _run_facts(run)) for run in runs],
        notes=[*(f"Left out: {one.name}: {one.reason}" for one in left_out), *pictures.notes],
    )


def page_table(title: str, table: SpreadTable) -> PageTable:
    """Give a table to the page: what it prints, what that is sorted by, and which cells lead."""
    heads = [*table.heads, *(column.heading for column in table.columns)]
    rows = []
    for row in table.rows:
        cells = [Cell(label, _whole_number(label)) for label in row.labels]
        for column in table.columns:
            spread = row.numbers.get(column.key)
            value = spread.mean if spread else None
            cells.append(Cell(column.text(row), value, table.rank(row, column)))
        rows.append([*cells, *([Cell(row.note, row.effort)] if table.note_head else [])])
    noted = bool(table.note_head)
    return PageTable(title, [*heads, *([table.note_head] if noted else [])], rows, table.caption, noted)


def _whole_number(text: str) -> float | None:
    return float(text) if text.isdecimal() else None


def statement_facts(statement: str) -> list[tuple[str, Facts]]:
    """Take a statement in Markdown apart: by heading of the second level, its bullets as name and text."""
    parts: list[tuple[str, list[str]]] = []
    goes_on = False
    for line in statement.splitlines():
        plain = line.replace("**", "").replace("`", "").strip()
        if line.startswith("## "):
            parts.append((plain.removeprefix("## "), []))
        elif parts and goes_on and plain and not line.startswith("- "):
            parts[-1][1][-1] += f" {plain}"
        elif parts and plain and not plain.endswith(":"):
            parts[-1][1].append(plain if line.startswith("- ") else f"in general: {plain}")
        goes_on = bool(plain) and bool(parts) and bool(parts[-1][1])
    return [(title, [_fact(text.removeprefix("- ")) for text in facts]) for title, facts in parts]


def _fact(text: str) -> tuple[str, str]:
    name, _, said = text.partition(": ")
    return name, said


def _run_facts(run: Run) -> Facts:
    facts: dict[str, Any] = {"method": run.method, "seed": run.seed}
    if run.needs_training:
        fit: Mapping[str, Any] = run.fit
        facts |= {name: fit.get(key) for key, name in (("steps", "steps"), ("epochs_done", "epochs"))}
        seconds = fit.get("fit_time_s")
        facts["time of training"] = f"{seconds:.0f} s" if isinstance(seconds, int | float) else None
    facts |= {name: run.results.get(key) for key, name in _RECORDED.items()}
    facts["test scenes"] = ", ".join(run.scenes)
    return [(name, str(value)) for name, value in facts.items() if value is not None]
