"""A quick look at a fusion without a reference: the product in false colour beside what it was made of."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy.typing as npt

from cofusion.reports.figures.false_colour import compose, stretch_limits
from cofusion.reports.figures.panels import GREY, draw_picture
from cofusion.reports.figures.style import GAMMA, STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches.
_PANEL, _GAP, _LEFT, _HEAD, _NOTE = 4.0, 0.15, 0.15, 0.8, 0.4


@dataclass(frozen=True, eq=False)
class View:
    """One of the three images, as much of it as is shown.

    Attributes:
        title: Its name.
        note: Below the whole picture: its size, say.
        whole: `(3, rows, cols)`, thinned out; red, green, blue.
        detail: `(3, rows, cols)`, a part of it with every pixel.
    """

    title: str
    note: str
    whole: npt.ArrayLike
    detail: npt.ArrayLike


def quicklook(views: list[View], title: str, label: str, detail: str) -> "Figure":
    """Draw the images one beside the other, whole above and a detail below.

    Each image has a stretch of its own, the 2nd to 98th percentile of each band shown, as no two sensors have
    the same units.

    Args:
        views: The images; the last one is the product.
        title: Heading.
        label: Which bands are shown.
        detail: Names the part shown below.

    Returns:
        A figure of its own: no state of pyplot is read or changed.
    """
    import numpy as np
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    shapes = [np.shape(getattr(views[-1], name))[1:] for name in ("whole", "detail")]
    heights = [_PANEL * min(max(rows / cols, 0.3), 2.0) for rows, cols in shapes]
    width = 2 * _LEFT + len(views) * (_PANEL + _GAP) - _GAP
    height = _HEAD + sum(heights) + 2 * _NOTE
    with rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        figure.text(_LEFT / width, 1 - 0.1 / height, title, fontweight="bold", fontsize=11.5, va="top")
        figure.text(_LEFT / width, 1 - 0.3 / height, label, color=GREY, va="top")
        for column, view in enumerate(views):
            limits = stretch_limits(view.whole, (0, 1, 2))
            top = _HEAD
            parts = ((view.whole, view.title, view.note), (view.detail, "", detail))
            for (cube, heading, note), size, tall in zip(parts, shapes, heights, strict=True):
                left = _LEFT + column * (_PANEL + _GAP)
                bottom = height - top - tall
                box = (left / width, bottom / height, _PANEL / width, tall / height)
                picture = compose(cube, (0, 1, 2), limits, GAMMA)
                draw_picture(figure.add_axes(box), picture, size, heading, note)
                top += tall + _NOTE
        return figure
