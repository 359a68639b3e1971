"""A picture of a table of means: a panel per column, a line per row."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cofusion.reports.figures.style import STYLE
from cofusion.reports.tables.spread import Column, SpreadTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OURS, _THEIRS = "#0072B2", "#D55E00"  # Okabe and Ito's palette; the marks differ in their shapes as well
_PANEL, _LINE, _LABELS, _MARGIN = 2.4, 0.28, 2.2, 1.1  # inches


def spread_figure(table: SpreadTable, beside: Mapping[str, str] | None = None, title: str = "") -> "Figure":
    """Draw the numbers of a table: every measurement as a dot, their mean with its standard deviation.

    Args:
        table: The table.
        beside: Columns that are shown in another's panel, as published values are: key of the column to key
            of the panel.
        title: Heading.

    Returns:
        A figure of its own: no state of pyplot is read or changed.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    beside = beside or {}
    panels = [column for column in table.columns if column.key not in beside]
    size = (_LABELS + _PANEL * len(panels), _MARGIN + _LINE * len(table.rows))
    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for place, column in zip(axes, panels, strict=True):
            _draw(place, table, column, [key for key, panel in beside.items() if panel == column.key])
        axes[0].set_yticks(
            range(len(table.rows)), [", ".join(filter(None, row.labels[:-1])) for row in table.rows]
        )
        axes[0].set_ylim(len(table.rows) - 0.4, -0.6)
        if beside:
            figure.legend(
                *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False
            )
        figure.suptitle(title, fontsize=10)
    return figure


def _draw(axes: "Axes", table: SpreadTable, column: Column, others: Sequence[str]) -> None:
    axes.set_title(column.heading)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.tick_params(axis="y", length=0)
    rows = [(y, row.numbers[column.key]) for y, row in enumerate(table.rows) if column.key in row.numbers]
    for y, spread in rows:
        axes.plot(spread.values, [y] * len(spread.values), "o", color=_OURS, markersize=3, alpha=0.4)
    axes.errorbar(
        [spread.mean for _, spread in rows],
        [y for y, _ in rows],
        xerr=[spread.deviation or 0.0 for _, spread in rows],
        fmt="o",
        color=_OURS,
        markersize=5,
        capsize=3,
        label="here",
    )
    for key in others:
        found = [(y, row.numbers[key].mean) for y, row in enumerate(table.rows) if key in row.numbers]
        axes.plot(
            [value for _, value in found],
            [y for y, _ in found],
            "D",
            color=_THEIRS,
            markerfacecolor="none",
            label="paper",
        )
