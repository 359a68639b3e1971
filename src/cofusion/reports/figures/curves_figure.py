"""Curves of several methods: quality of each band, and how it grew while they were trained."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cofusion.reports.figures.method_lines import Lines
from cofusion.reports.figures.panels import with_gaps
from cofusion.reports.figures.print_size import WIDTH, legend_below
from cofusion.reports.figures.style import STYLE
from cofusion.reports.records.curves import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]

_SHOWN = 15.0  # dB below the best
_PACE = 50  # characters below an axis


def band_figure(
    band_psnr: Mapping[str, npt.ArrayLike],
    lines: Lines,
    wavelengths: npt.ArrayLike | None = None,
    title: str = "",
) -> "Figure":
    """Draw the PSNR of every band.

    Args:
        band_psnr: By method `(bands,)` in dB, the mean over scenes.
        lines: By method, see `method_lines`.
        wavelengths: `(bands,)` in nm, if known.
        title: Heading.

    Returns:
        A figure of its own: no state of pyplot is read or changed.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        axes = figure.subplots()
        for method, values in band_psnr.items():
            decibels = np.asarray(values)
            x = np.arange(1, len(decibels) + 1) if wavelengths is None else np.asarray(wavelengths)
            axes.plot(*with_gaps(x, decibels), label=method, **lines[method])
        axes.set(xlabel="band" if wavelengths is None else "wavelength (nm)", ylabel="PSNR (dB)")
        _finish(figure, axes, title)
        legend_below(figure, *axes.get_legend_handles_labels())
    return figure


def training_figure(curves: Sequence[Curve], lines: Lines, title: str = "") -> "Figure":
    """Draw validation PSNR against steps and, where it is known, against time.

    Args:
        curves: One per run, of any number of methods.
        lines: By method, see `method_lines`.
        title: Heading.

    Returns:
        A figure of its own: no state of pyplot is read or changed.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    timed = [(curve, curve.seconds) for curve in curves if curve.seconds is not None]
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH if timed else 4.6, 3.2), layout="constrained")
        axes = figure.subplots(1, 2 if timed else 1, sharey=True, squeeze=False)[0]
        named: set[str] = set()
        for curve in curves:
            label = None if curve.method in named else curve.method
            named.add(curve.method)
            axes[0].plot(curve.steps, curve.psnr, label=label, **_dotted(lines[curve.method], curve))
        axes[0].set(xlabel="optimiser steps", ylabel="validation PSNR (dB)")
        if timed:
            unit, second = _unit(max(float(seconds[-1]) for _, seconds in timed))
            for curve, seconds in timed:
                axes[1].plot(seconds * second, curve.psnr, **_dotted(lines[curve.method], curve))
            axes[1].set_xlabel(f"time of training ({unit}){_pace([curve for curve, _ in timed])}")
        # The first validations of a slow start would press everything else together.
        lowest, best = (
            float(end(np.concatenate([curve.psnr for curve in curves]))) for end in (np.min, np.max)
        )
        if lowest < best - _SHOWN:
            axes[0].set_ylim(bottom=best - _SHOWN)
        for each in axes:
            _finish(figure, each, title)
        legend_below(figure, *axes[0].get_legend_handles_labels())
    return figure


def _pace(curves: Sequence[Curve]) -> str:
    """Say of which curves the time is no more than an even pace."""
    even = list(dict.fromkeys(curve.method for curve in curves if curve.even))
    if not even:
        return ""
    which = "" if all(curve.even for curve in curves) else f": {', '.join(even)}"
    return "\n" + fill(f"an even pace assumed{which}", _PACE)


def _dotted(line: Mapping[str, Any], curve: Curve) -> dict[str, Any]:
    """A few validations are points of a line; many would hide it."""
    return {**line, **({"marker": "o", "markersize": 2.5} if len(curve.steps) <= 30 else {})}


def _unit(longest: float) -> tuple[str, float]:
    for unit, seconds in (("hours", 3600.0), ("minutes", 60.0)):
        if longest >= 2 * seconds:
            return unit, 1 / seconds
    return "seconds", 1.0


def _finish(figure: "Figure", axes: "Axes", title: str) -> None:
    axes.set_axisbelow(True)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    figure.suptitle(title, fontweight="bold", fontsize=11, x=0.01, ha="left")
