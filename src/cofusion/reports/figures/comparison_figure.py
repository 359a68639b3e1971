"""A scene as all methods fused it: false colour and error maps on one sheet."""

from math import ceil
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from cofusion.reports.figures.comparison import Comparison, View
from cofusion.reports.figures.panels import GREY, draw_map, draw_picture
from cofusion.reports.figures.print_size import HEIGHT, WIDTH
from cofusion.reports.figures.style import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]

# Inches.
_GAP, _MARGIN, _HEADING, _NOTE, _FOOT, _LARGEST = 0.08, 0.08, 0.5, 0.2, 0.42, 2.2
_BAR = (0.1, 0.3, 1.9, 0.08)  # of the colour bar: from the left, from the bottom, width and height
_COLUMNS = range(3, 8)  # that a sheet may have
_TITLE, _TEXT = 7.5, 7.0  # points
_LINES = 5  # of a name at most
_BOX = "#00FFFF"  # neither in nature's colours nor in the map's


def comparison_figure(comparison: Comparison, title: str = "") -> "Figure":
    """Draw the results of all methods and, below each, the map of its spectral angle to the reference.

    All pictures have one stretch and all maps one colour bar. A square is enlarged in a corner of each.
    Without a reference there are no maps. Panels are as large as a printed page allows.

    Args:
        comparison: The scene.
        title: Heading.

    Returns:
        A figure of its own: no state of pyplot is read or changed.
    """
    from matplotlib import rc_context

    with rc_context({**STYLE, "font.size": _TEXT, "axes.titlesize": _TITLE, "axes.labelsize": _TEXT}):
        return _Sheet(comparison).draw(title)


class _Layout:
    """Where everything is, in inches from the top left corner.

    Places are filled along a block, below it the next; each has a picture and, in the row below, its map. The
    first place has the LRHSI and below it the HRMSI, the second the reference.
    """

    def __init__(self, comparison: Comparison, columns: int) -> None:
        self.mapped = comparison.has_reference
        heads = ["LRHSI", *(["Reference"] if self.mapped else []), *(view.name for view in comparison.views)]
        blocks = ceil(len(heads) / columns)
        self.columns = ceil(len(heads) / blocks)
        self.panel = min((WIDTH - 2 * _MARGIN + _GAP) / self.columns - _GAP, _LARGEST)
        rows, cols = comparison.size
        self.tall = self.panel * min(max(rows / cols, 0.12), 2.0)
        self.names = [self._lines(name) for name in heads]
        self.width = 2 * _MARGIN + self.columns * (self.panel + _GAP) - _GAP
        self.tops, self.height = [], _HEADING
        for block in range(blocks):
            names = self.names[block * self.columns : (block + 1) * self.columns]
            self.tops.append(self.height + 0.1 + max(map(len, names)) * 1.2 * _TITLE / 72)
            # The inputs take two rows even where there are no maps.
            self.height = self.tops[-1] + (2 if self.mapped or block == 0 else 1) * (self.tall + _NOTE)
        self.height += _FOOT

    def _lines(self, name: str) -> list[str]:
        """Break a name so that it does not reach into the next column."""
        fitting = int(72 * self.panel / (0.6 * _TITLE))
        return wrap(name, fitting, max_lines=_LINES, placeholder=" …") or [""]

    def box(self, place: int, row: int) -> tuple[float, float, float, float]:
        """Left, top, width and height of a panel."""
        block, column = divmod(place, self.columns)
        top = self.tops[block] + row * (self.tall + _NOTE)
        return _MARGIN + column * (self.panel + _GAP), top, self.panel, self.tall


def _layout(comparison: Comparison) -> _Layout:
    """Choose the largest panels with which the sheet fits a page; where none fit, the smallest."""
    layouts = [_Layout(comparison, columns) for columns in _COLUMNS]
    return next((one for one in layouts if one.height <= HEIGHT), layouts[-1])


class _Sheet:
    """Draws a comparison as its layout says."""

    def __init__(self, comparison: Comparison) -> None:
        from matplotlib.figure import Figure

        self.comparison = comparison
        self.at = _layout(comparison)
        self.figure = Figure(figsize=(self.at.width, self.at.height))

    def draw(self, title: str) -> "Figure":
        shown, mapped = self.comparison, self.at.mapped
        note = f"False colour {shown.bands.label}   ·   HRMSI {shown.msi_bands.label}"
        self._text(_MARGIN, 0.08, title, fontweight="bold", fontsize=10)
        self._text(_MARGIN, 0.29, note, color=GREY)
        self._picture(0, 0, shown.coarse, "LRHSI", "")
        self._picture(0, 1, shown.guide, "", "HRMSI")
        if mapped:
            self._picture(1, 0, shown.measured.picture, "Reference", "")
        image = None
        for place, view in enumerate(shown.views, start=2 if mapped else 1):
            name = "\n".join(self.at.names[place])
            self._picture(place, 0, view.picture, name, _score(view, "psnr", "PSNR {:.2f} dB"))
            if view.angles is not None:
                image = draw_map(self._axes(place, 1), view.angles, shown.top, "")
                self._detail(image.axes, view.angles, cmap="magma", vmin=0, vmax=shown.top)
                image.axes.set_xlabel(_score(view, "sam", "SAM {:.2f}°"), color=GREY)
        self._foot(image)
        return self.figure

    def _text(self, left: float, top: float, text: str, **options: Any) -> None:
        self.figure.text(left / self.at.width, 1 - top / self.at.height, text, va="top", **options)

    def _axes(self, place: int, row: int) -> "Axes":
        left, top, width, height = self.at.box(place, row)
        return self._box(left, self.at.height - top - height, width, height)

    def _box(self, left: float, bottom: float, width: float, height: float) -> "Axes":
        whole = (self.at.width, self.at.height)
        axes: Axes = self.figure.add_axes(
            (left / whole[0], bottom / whole[1], width / whole[0], height / whole[1])
        )
        return axes

    def _picture(self, place: int, row: int, picture: Array, name: str, note: str) -> None:
        axes = self._axes(place, row)
        draw_picture(axes, picture, self.comparison.size, name, note)
        self._detail(axes, picture)

    def _detail(self, axes: "Axes", picture: Array, **options: Any) -> None:
        """Frame the square, and enlarge it in the corner that is farthest from it."""
        from matplotlib.patches import Rectangle

        rows, cols = self.comparison.size
        top, left, side = self.comparison.detail
        frame: dict[str, Any] = {"fill": False, "edgecolor": _BOX, "linewidth": 0.8}
        axes.add_patch(Rectangle((left - 0.5, top - 0.5), side, side, **frame))
        share = 0.42
        right, up = left + side / 2 < cols / 2, top + side / 2 > rows / 2
        shape = (share * min(1.0, rows / cols), share * min(1.0, cols / rows))
        corner = (1 - shape[0] if right else 0, 1 - shape[1] if up else 0)
        inset = axes.inset_axes((*corner, *shape))
        scale = rows // picture.shape[0]
        part = picture[top // scale : -(-(top + side) // scale), left // scale : -(-(left + side) // scale)]
        inset.imshow(part, interpolation="nearest", aspect="auto", **options)
        inset.set(xticks=[], yticks=[])
        for spine in inset.spines.values():
            spine.set(visible=True, color=_BOX, linewidth=0.8)

    def _foot(self, image: Any) -> None:
        """What the colours of the maps mean, and what is enlarged."""
        top, left, side = self.comparison.detail
        right = _MARGIN
        if image is not None:
            bar = self.figure.colorbar(image, cax=self._box(*_BAR), orientation="horizontal", extend="max")
            bar.set_label("spectral angle to the reference (°)", labelpad=1)
            bar.ax.tick_params(labelsize=_TEXT, pad=1.5, length=2)
            bar.outline.set_visible(False)
            right += _BAR[0] + _BAR[2] + 0.3
        text = f"Enlarged: rows {top} to {top + side - 1},\ncolumns {left} to {left + side - 1}"
        self._text(right, self.at.height - _FOOT + 0.06, text, color=GREY)


def _score(view: View, metric: str, text: str) -> str:
    value = view.scores.get(metric)
    return "" if value is None else text.format(value)
