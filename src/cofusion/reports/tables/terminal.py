"""Tables of methods by metrics, for the terminal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cofusion.metric_names import DECIMALS, HIGHER_IS_BETTER, heading
from cofusion.reports.tables.spread import is_measured

if TYPE_CHECKING:
    from rich.table import Table

Scores = Mapping[str, float | None]


def metric_table(results: Mapping[str, Scores], title: str | None = None) -> "Table":
    """Make a table for the terminal: a row per method, a column per metric, the best in bold.

    Args:
        results: Method name to metric name to value, in the order to show. A missing value, None, NaN or an
            infinite one is shown as a dash and is never the best.
        title: Line above the table.
    """
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    metrics = _metrics(results)
    table.add_column("Method", no_wrap=True, min_width=max(map(len, results), default=0))
    for metric in metrics:
        table.add_column(heading(metric), justify="right")
    for method, cells in _rows(results, metrics):
        table.add_row(method, *cells)
    return table


def _metrics(results: Mapping[str, Scores]) -> list[str]:
    """Every metric that some method has, in the order in which they first come."""
    return list(dict.fromkeys(metric for scores in results.values() for metric in scores))


def _rows(results: Mapping[str, Scores], metrics: list[str]) -> list[tuple[str, list[str]]]:
    best = {metric: _best(results, metric) for metric in metrics}
    return [
        (method, [_cell(scores.get(metric), metric, best[metric]) for metric in metrics])
        for method, scores in results.items()
    ]


def _best(results: Mapping[str, Scores], metric: str) -> str | None:
    """The best value as it is printed: methods that print alike are all marked."""
    higher = HIGHER_IS_BETTER.get(metric)
    values = [value for scores in results.values() if is_measured(value := scores.get(metric))]
    if higher is None or len(results) < 2 or not values:
        return None
    return _print(max(values) if higher else min(values), metric)


def _cell(value: float | None, metric: str, best: str | None) -> str:
    if not is_measured(value):
        return "-"
    printed = _print(value, metric)
    return f"[bold]{printed}[/bold]" if printed == best else printed


def _print(value: float, metric: str) -> str:
    return f"{value:.{DECIMALS.get(metric, 2)}f}"
