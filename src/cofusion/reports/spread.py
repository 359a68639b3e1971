"""Tables of means with their spread, as Markdown, CSV and LaTeX."""

import csv
import io
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

_LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "°": r"$^\circ$",
    }
)


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
    """

    key: str
    heading: str
    decimals: int = 2
    higher_is_better: bool | None = None
    exact: bool = False

    def text(self, spread: Spread | None) -> str:
        """Print a mean, and its spread where there are several measurements."""
        if spread is None:
            return "-"
        mean = f"{spread.mean:.{self.decimals}f}"
        deviation = spread.deviation
        return mean if deviation is None or self.exact else f"{mean} ± {deviation:.{self.decimals}f}"


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        labels: The first cells.
        numbers: By key of the column; a missing one is shown as a dash.
    """

    labels: tuple[str, ...]
    numbers: Mapping[str, Spread]


@dataclass(frozen=True)
class SpreadTable:
    """A table of means and their spread.

    Attributes:
        heads: Headings of the labels, the last of which is the number of runs.
        columns: Of the numbers.
        rows: From top to bottom.
        caption: What it shows, one or two sentences.
    """

    heads: Sequence[str]
    columns: Sequence[Column]
    rows: Sequence[Row]
    caption: str = ""

    def markdown(self) -> str:
        """Return the table in Markdown with its caption below; the best mean of a column is bold."""
        lines = [
            [*self.heads, *(column.heading for column in self.columns)],
            [*(":---" for _ in self.heads), *("---:" for _ in self.columns)],
            *self._lines("**{}**"),
        ]
        table = "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)
        return f"{table}\n{self.caption}\n" if self.caption else table

    def latex(self) -> str:
        """Return the table in LaTeX, for the package booktabs; the best mean of a column is bold."""
        heads = [_latex(head) for head in (*self.heads, *(column.heading for column in self.columns))]
        body = [" & ".join(heads), *(" & ".join(line) for line in self._lines(r"\textbf{{{}}}", _latex))]
        lines = [
            r"\begin{table}",
            r"\centering",
            *([rf"\caption{{{_latex(self.caption)}}}"] if self.caption else []),
            rf"\begin{{tabular}}{{{'l' * len(self.heads)}{'r' * len(self.columns)}}}",
            r"\toprule",
            rf"{body[0]} \\",
            r"\midrule",
            *(rf"{line} \\" for line in body[1:]),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"

    def csv(self) -> str:
        """Return the table as CSV: each column's mean, standard deviation and number of measurements."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        keys = [column.key for column in self.columns]
        writer.writerow([*self.heads, *(f"{key}{part}" for key in keys for part in ("", "_std", "_n"))])
        for row in self.rows:
            cells: list[object] = []
            for key in keys:
                spread = row.numbers.get(key)
                deviation = spread.deviation if spread else None
                cells += [
                    "" if spread is None else spread.mean,
                    "" if deviation is None else deviation,
                    len(spread.values) if spread else 0,
                ]
            writer.writerow([*row.labels, *cells])
        return file.getvalue()

    def _lines(self, bold: str, write: Callable[[str], str] = str) -> list[list[str]]:
        """Return the cells of all rows; a value that prints as the best of its column is marked."""
        best = {column.key: self._best(column) for column in self.columns}
        return [
            [
                *(write(label) for label in row.labels),
                *(
                    bold.format(write(text)) if _leads(text, best[column.key]) else write(text)
                    for column in self.columns
                    for text in [column.text(row.numbers.get(column.key))]
                ),
            ]
            for row in self.rows
        ]

    def _best(self, column: Column) -> str | None:
        """The best mean of a column as it is printed; None where nothing is compared."""
        means = [row.numbers[column.key].mean for row in self.rows if column.key in row.numbers]
        if column.higher_is_better is None or len(means) < 2:
            return None
        return f"{max(means) if column.higher_is_better else min(means):.{column.decimals}f}"


def spreads(values: Mapping[str, Iterable[float]]) -> dict[str, Spread]:
    """Make spreads of measurements; those that are not finite are left out."""
    finite = {key: tuple(value for value in each if math.isfinite(value)) for key, each in values.items()}
    return {key: Spread(each) for key, each in finite.items() if each}


def _leads(text: str, best: str | None) -> bool:
    return best is not None and text.partition(" ")[0] == best


def _latex(text: str) -> str:
    return text.translate(_LATEX)
