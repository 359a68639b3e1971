"""The paper's figure 9: parameters and latency of every method, on logarithmic axes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cofusion.reports.figures.panels import GREY
from cofusion.reports.figures.style import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cofusion.speed.record import Row

# Okabe and Ito's palette; precisions differ in their hatches as well.
_PARAMETERS = "#56B4E9"
_LATENCIES = {"float32": ("#0072B2", ""), "bf16": ("#E69F00", "////"), "compiled": ("#009E73", "....")}
_PANEL, _LABELS, _HEADING, _BAR = 2.7, 1.4, 1.1, 0.15  # inches


def speed_figure(rows: Sequence["Row"], machine: str = "") -> "Figure":
    """Draw the efficiency of methods, as figure 9 of the paper does: bars of parameters and of latency.

    A line of panels for each number of bands: the parameters, then the latencies at each size with a bar for
    each precision. Every bar says its value.

    Args:
        rows: What `cofusion.speed.comparison.compare` measured, all cases together.
        machine: What it was measured on.

    Returns:
        A figure of its own: no state of pyplot is read or changed.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    bands, sizes, precisions, methods = (
        list(dict.fromkeys(getattr(row, name) for row in rows))
        for name in ("bands", "size", "precision", "method")
    )
    sizes, precisions = sorted(sizes), [name for name in _LATENCIES if name in precisions]
    line = 0.12 + max(len(precisions), 1.6) * _BAR
    shape = (_LABELS + _PANEL * (1 + len(sizes)), 0.5 + len(bands) * (_HEADING + line * len(methods)))
    # The powers of ten at logarithmic axes are formulas.
    with rc_context({**STYLE, "text.parse_math": True}):
        figure = Figure(figsize=shape, layout="constrained")
        panels = figure.subplots(len(bands), 1 + len(sizes), sharey=True, squeeze=False)
        for across, one in zip(panels, bands, strict=True):
            of = [row for row in rows if row.bands == one]
            _draw_parameters(across[0], of, methods)
            across[0].set_title(f"{one} bands", loc="left", fontweight="bold", parse_math=False)
            measured = [name for name in precisions if any(row.precision == name for row in of)]
            for panel, size in zip(across[1:], sizes, strict=True):
                _draw_latencies(panel, [row for row in of if row.size == size], methods, measured)
                panel.set_xlabel(f"latency (ms), {size} x {size} pixels")
        for panel in panels[:, 0]:
            panel.set_xlim(_limits([row.parameters / 1e6 for row in rows]))
        for panel in panels[:, 1:].flat:
            panel.set_xlim(_limits([row.latency_ms for row in rows]))
        panels[0, 0].set_yticks(range(len(methods)), methods, parse_math=False)
        panels[0, 0].set_ylim(len(methods) - 0.4, -0.6)
        named: dict[str, Any] = {}
        for panel in panels[:, 1:].flat:
            handles, labels = panel.get_legend_handles_labels()
            named |= dict(zip(labels, handles, strict=True))
        shown = [precision for precision in precisions if precision in named]
        handles = [named[precision] for precision in shown]
        figure.legend(handles, shown, loc="outside upper right", ncols=len(shown), frameon=False)
        figure.supxlabel(machine, fontsize=7.5, color=GREY, parse_math=False)
    return figure


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Leave room for the number at the longest bar, and for a bar at the smallest value."""
    return 0.5 * min(values), 4 * max(values)


def _draw_parameters(axes: "Axes", rows: Sequence["Row"], methods: Sequence[str]) -> None:
    counts = {row.method: row.parameters / 1e6 for row in rows}
    _bars(axes, [counts.get(method) for method in methods], "", _PARAMETERS, "", 0.0, 0.7)
    axes.set_xlabel("parameters (M)")


def _draw_latencies(
    axes: "Axes", rows: Sequence["Row"], methods: Sequence[str], precisions: Sequence[str]
) -> None:
    height = 0.8 / len(precisions)
    for place, precision in enumerate(precisions):
        found = {row.method: row.latency_ms for row in rows if row.precision == precision}
        colour, hatch = _LATENCIES[precision]
        offset = (place - (len(precisions) - 1) / 2) * height
        _bars(axes, [found.get(method) for method in methods], precision, colour, hatch, offset, height)


def _bars(
    axes: "Axes",
    values: Sequence[float | None],
    label: str,
    colour: str,
    hatch: str,
    offset: float,
    height: float,
) -> None:
    """Draw a bar for every value that is known, and write the value at its end."""
    known = [(y + offset, value) for y, value in enumerate(values) if value is not None]
    axes.set_xscale("log")
    axes.tick_params(axis="y", length=0)
    if not known:
        return
    bars = axes.barh(
        [y for y, _ in known],
        [value for _, value in known],
        height=0.92 * height,
        color=colour,
        hatch=hatch,
        edgecolor="white",
        linewidth=0,
        label=label,
    )
    texts = [f"{value:.3g}" if value < 100 else f"{value:.0f}" for _, value in known]
    axes.bar_label(bars, texts, padding=2, fontsize=6.5)
