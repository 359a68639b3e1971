"""What figures have in common so that they can be read in print."""

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches between the margins of an A4 page: a figure as wide as this is printed as large as it was drawn.
WIDTH, HEIGHT = 6.7, 9.6

# Characters of a label in a line, and columns of a legend.
_LINE, _COLUMNS = 48, 6


def legend_below(figure: "Figure", handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Put a legend below everything else, in as many columns as the figure is wide; the figure grows by it.

    Args:
        figure: With a constrained layout.
        handles: The lines.
        labels: What they are; long ones take several lines.
    """
    texts = [fill(label, _LINE) for label in labels]
    for columns in range(min(_COLUMNS, len(texts)), 0, -1):
        # Long enough that a marker in the middle hides no dashes.
        legend = figure.legend(
            handles, texts, loc="outside lower center", ncols=columns, frameon=False, handlelength=3
        )
        box = legend.get_window_extent()
        if box.width <= figure.bbox.width or columns == 1:
            break
        legend.remove()
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + box.height / figure.dpi)
