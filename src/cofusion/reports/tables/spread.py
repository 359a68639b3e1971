"""Tables of means with their spread, and of published numbers beside them, as Markdown, CSV and LaTeX."""

import csv
import io
import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from cofusion.metric_names import DECIMALS, HIGHER_IS_BETTER, heading
from cofusion.reports.tables.texts import markdown

_LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': "''",
        # At the start of a row, LaTeX would take these for an option of the line before.
        **{character: f"{{{character}}}" for character in "[]*"},
        "µ": r"$\mu$",
        "μ": r"$\mu$",
        "±": r"$\pm$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "°": r"$^\circ$",
        "λ": r"$\lambda$",
        "Δ": r"$\Delta$",
        "†": r"$^\dagger$",
        "‡": r"$^\ddagger$",
        "§": r"\S{}",
    }
)

# Names of columns that are formulas.
_FORMULAS = {"D_λ": r"$D_\lambda$", "D_s": "$D_s$"}

# A column of a journal's page has no room for more numbers.
_NARROW = 5


@dataclass(frozen=True)
class Spread:
    """A number that was measured once or several times.

    Attributes:
        values: The measurements, all finite.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Their mean."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Their standard deviation as an estimate from a sample (divided by n - 1); None for a single one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    Attributes:
        key: Its key in the rows, and its name in CSV.
        heading: Above it.
        decimals: How many are printed.
        higher_is_better: Which way is better; None for neither.
        exact: Whether the spread is never shown, as for a number of parameters.
        beside: For published numbers, the column of ours that they stand beside: what ours are above them is
            printed too, and none of them is marked as the best.
    """

    key: str
    heading: str
    decimals: int = 2
    higher_is_better: bool | None = None
    exact: bool = False
    beside: str | None = None

    def text(self, row: "Row") -> str:
        """Print a row's number in this column, a dash where it has none."""
        spread = row.numbers.get(self.key)
        if spread is None:
            return "-"
        mean = self.printed(spread)
        ours = row.numbers.get(self.beside) if self.beside else None
        if ours is not None:
            # Adding 0 takes the sign from a difference that prints as zero.
            difference = round(ours.mean - spread.mean, self.decimals) + 0.0
            return f"{mean} ({difference:+.{self.decimals}f}){row.marks}"
        deviation = None if self.exact else spread.deviation
        text = mean if deviation is None else f"{mean} ± {deviation:.{self.decimals}f}"
        fewer = row.runs > len(spread.values) and not (self.beside or self.exact)
        return f"{text} (n = {len(spread.values)})" if fewer else text

    def printed(self, spread: Spread) -> str:
        """Print a mean alone."""
        return f"{spread.mean:.{self.decimals}f}"


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        labels: The first cells.
        numbers: By key of the column; a missing one is shown as a dash.
        runs: How many runs there are; a cell of fewer says so.
        marks: Behind a difference from a published number, for notes in the caption.
        note: In the last column.
        effort: What the note is sorted by, where tables can be sorted.
    """

    labels: tuple[str, ...]
    numbers: Mapping[str, Spread]
    runs: int = 0
    marks: str = ""
    note: str = ""
    effort: float | None = None


@dataclass(frozen=True)
class SpreadTable:
    """A table of means and their spread.

    Attributes:
        heads: Headings of the labels, the last of which is the number of runs.
        columns: Of the numbers.
        rows: From top to bottom.
        caption: What it shows, one or two sentences.
        note_head: Heading of the rows' notes; "" where there are none. LaTeX has no room for them.
    """

    heads: Sequence[str]
    columns: Sequence[Column]
    rows: Sequence[Row]
    caption: str = ""
    note_head: str = ""

    def markdown(self) -> str:
        """Return the table in Markdown with its caption below: the best is bold, the second underlined."""
        notes = [[self.note_head], [":---"], *([markdown(row.note)] for row in self.rows)]
        lines = [
            [*self.heads, *(column.heading for column in self.columns)],
            [*(":---" for _ in self.heads), *("---:" for _ in self.columns)],
            *self._lines("**{}**", "<u>{}</u>", markdown),
        ]
        if self.note_head:
            lines = [line + note for line, note in zip(lines, notes, strict=True)]
        table = "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)
        return f"{table}\n{self.caption}\n" if self.caption else table

    def latex(self) -> str:
        """Return the table in LaTeX, for the package booktabs; marked as in Markdown."""
        heads = [*map(_latex, self.heads), *(_latex_heading(column.heading) for column in self.columns)]
        rows = self._lines(r"\textbf{{{}}}", r"\underline{{{}}}", _latex)
        body = [" & ".join(heads), *(" & ".join(line) for line in rows)]
        table = "table*" if len(self.columns) > _NARROW else "table"
        lines = [
            rf"\begin{{{table}}}",
            r"\centering",
            *([rf"\caption{{{_latex(self.caption)}}}"] if self.caption else []),
            rf"\begin{{tabular}}{{{'l' * len(self.heads)}{'r' * len(self.columns)}}}",
            r"\toprule",
            rf"{body[0]} \\",
            r"\midrule",
            *(rf"{line} \\" for line in body[1:]),
            r"\bottomrule",
            r"\end{tabular}",
            rf"\end{{{table}}}",
        ]
        return "\n".join(lines) + "\n"

    def csv(self) -> str:
        """Return the table as CSV, see `tables_csv`."""
        return tables_csv([({}, self)])

    def rank(self, row: Row, column: Column) -> int:
        """Return 1 where a row's mean prints as the best of a column, 2 as the second, 0 otherwise."""
        spread = row.numbers.get(column.key)
        leaders = self._leaders(column)
        return (
            0
            if spread is None or (mean := column.printed(spread)) not in leaders
            else leaders.index(mean) + 1
        )

    def _lines(self, best: str, second: str, write: Callable[[str], str]) -> list[list[str]]:
        """Return the cells of all rows; what prints as a column's best or second is marked."""
        marks = ("{}", best, second)
        return [
            [
                *(write(label) for label in row.labels),
                *(marks[self.rank(row, column)].format(write(column.text(row))) for column in self.columns),
            ]
            for row in self.rows
        ]

    def _leaders(self, column: Column) -> tuple[str | None, str | None]:
        """The best mean of a column as it is printed, and the second of three or more."""
        spread = [row.numbers[column.key] for row in self.rows if column.key in row.numbers]
        if column.higher_is_better is None or column.beside or len(spread) < 2:
            return None, None
        ranked = sorted(spread, key=lambda one: one.mean, reverse=column.higher_is_better)
        printed = list(dict.fromkeys(column.printed(one) for one in ranked))
        return printed[0], printed[1] if len(spread) > 2 and len(printed) > 1 else None


def tables_csv(tables: Sequence[tuple[Mapping[str, str], SpreadTable]]) -> str:
    """Return tables as one CSV: each column's mean, standard deviation and number of measurements.

    Of a published number there is the number and what ours is above it.

    Args:
        tables: Each with cells that come first in all of its rows, by heading. Columns that a table has not
            are empty in its rows.
    """
    lines = [
        {**first, **dict(zip(table.heads, row.labels, strict=True)), **_csv_cells(table, row)}
        for first, table in tables
        for row in table.rows
    ]
    file = io.StringIO()
    heads = dict.fromkeys(head for line in lines for head in line)
    writer = csv.DictWriter(file, list(heads), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue()


def _csv_cells(table: SpreadTable, row: Row) -> dict[str, object]:
    cells: dict[str, object] = {}
    for column in table.columns:
        key, spread = column.key, row.numbers.get(column.key)
        cells[key] = "" if spread is None else spread.mean
        if column.beside:
            ours = row.numbers.get(column.beside)
            difference = ours.mean - spread.mean if ours and spread else None
            cells[f"{key}_difference"] = "" if difference is None else difference
            cells[f"{key}_mark"] = "" if difference is None else row.marks
        else:
            deviation = spread.deviation if spread else None
            cells[f"{key}_std"] = "" if deviation is None else deviation
            cells[f"{key}_n"] = len(spread.values) if spread else 0
    return cells | ({table.note_head: row.note} if table.note_head else {})


def is_measured(value: float | None) -> TypeGuard[float]:
    """Tell whether a value was measured and is finite."""
    return value is not None and math.isfinite(value)


def metric_column(metric: str) -> Column:
    """Return the column of a metric under its usual heading."""
    return Column(metric, heading(metric), DECIMALS.get(metric, 2), HIGHER_IS_BETTER[metric])


def spreads(values: Mapping[str, Iterable[float]]) -> dict[str, Spread]:
    """Make spreads of measurements; those that are not finite are left out."""
    finite = {key: tuple(value for value in each if math.isfinite(value)) for key, each in values.items()}
    return {key: Spread(each) for key, each in finite.items() if each}


def _latex(text: str) -> str:
    if text == "-":
        return "--"
    return re.sub(r"\(([+-])(?=\d)", r"($\1$", text.translate(_LATEX))


def _latex_heading(heading: str) -> str:
    name, space, arrow = heading.partition(" ")
    return f"{_FORMULAS.get(name, _latex(name))}{space}{_latex(arrow)}"
