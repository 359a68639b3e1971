"""The spectra of chosen pixels of a scene, by all methods."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cofusion.reports.figures.comparison import Comparison
from cofusion.reports.figures.method_lines import REFERENCE, Lines
from cofusion.reports.figures.panels import LETTERS, draw_picture, mark_pixels, with_gaps
from cofusion.reports.figures.print_size import WIDTH, legend_below
from cofusion.reports.figures.style import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]


def spectra_figure(comparison: Comparison, lines: Lines, title: str = "") -> "Figure":
    """Draw the spectra of the chosen pixels, all methods in one panel, and below it what they are off by.

    Without a reference the LRHSI's spectrum stands in its place, and there are no differences.

    Args:
        comparison: The scene.
        lines: By method, see `method_lines`.
        title: Heading.

    Returns:
        A figure of its own: no state of pyplot is read or changed.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows, columns = 2 if comparison.has_reference else 1, len(comparison.pixels) + 1
    with rc_context({**STYLE, "xtick.labelsize": 7, "ytick.labelsize": 7}):
        figure = Figure(figsize=(WIDTH, 1.2 + 1.5 * rows), layout="constrained")
        grid = figure.add_gridspec(rows, columns, height_ratios=[1.5, 1][:rows])
        ground = figure.add_subplot(grid[0, 0])
        draw_picture(ground, comparison.measured.picture, comparison.size, comparison.measured.name, "")
        mark_pixels(ground, comparison.pixels, comparison.size)
        for place in range(len(comparison.pixels)):
            above = figure.add_subplot(grid[0, place + 1])
            _spectra(above, comparison, lines, place)
            if comparison.has_reference:
                below = figure.add_subplot(grid[1, place + 1], sharex=above)
                above.tick_params(labelbottom=False)
                above.set_xlabel("")
                _differences(below, comparison, lines, place)
        if comparison.pixels:
            legend_below(figure, *figure.axes[1].get_legend_handles_labels())
        figure.suptitle(title, fontweight="bold", fontsize=11, x=0.01, ha="left")
        return figure


def _spectra(axes: "Axes", comparison: Comparison, lines: Lines, place: int) -> None:
    row, col = comparison.pixels[place]
    axes.set_title(f"{LETTERS[place % len(LETTERS)]}   row {row}, col {col}", fontsize=8)
    x = _x(comparison)
    axes.plot(*with_gaps(x, comparison.measured.spectra[place]), label=comparison.measured.name, **REFERENCE)
    for view in comparison.views:
        axes.plot(*with_gaps(x, view.spectra[place]), label=view.name, **lines[view.name])
    _finish(axes, comparison, "scaled value" if place == 0 else "")


def _differences(axes: "Axes", comparison: Comparison, lines: Lines, place: int) -> None:
    axes.axhline(0, **REFERENCE)
    for view in comparison.views:
        off = view.spectra[place] - comparison.measured.spectra[place]
        axes.plot(*with_gaps(_x(comparison), off), **lines[view.name])
    _finish(axes, comparison, "difference" if place == 0 else "")


def _x(comparison: Comparison) -> Array:
    if comparison.wavelengths is not None:
        return comparison.wavelengths
    return np.arange(1, len(comparison.measured.samples) + 1)


def _finish(axes: "Axes", comparison: Comparison, label: str) -> None:
    axes.set_xlabel("band" if comparison.wavelengths is None else "wavelength (nm)")
    axes.set_ylabel(label)
    axes.set_axisbelow(True)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.locator_params(nbins=4, axis="x", integer=comparison.wavelengths is None)
