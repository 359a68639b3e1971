"""The single panels of a fusion figure: a picture, an error map, a pixel's spectra."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

Array = npt.NDArray[Any]

LETTERS = "ABC"
GREY = "#555555"
# Okabe and Ito's palette, told apart with any kind of colour vision; widths and dashes differ as well.
LINES: dict[str, dict[str, Any]] = {
    "measured": {"color": "#000000", "linewidth": 3.2, "alpha": 0.3},
    "bicubic": {"color": "#0072B2", "linewidth": 1.1, "dashes": (4, 1.5)},
    "fused": {"color": "#D55E00", "linewidth": 1.3},
}


@dataclass(frozen=True)
class Line:
    """One line of the spectra panels.

    Attributes:
        kind: Key of `LINES`.
        label: For the legend.
        cube: (bands, rows, cols), where the spectra come from; may be of lower resolution.
    """

    kind: str
    label: str
    cube: Array


def draw_picture(axes: "Axes", picture: Array, size: tuple[int, int], title: str, note: str) -> None:
    """Draw a picture (h, w, 3) over `size` full-resolution pixels: those of an LRHSI become squares."""
    rows, cols = size
    axes.imshow(picture, extent=(-0.5, cols - 0.5, rows - 0.5, -0.5), interpolation="nearest")
    axes.set_title(title)
    axes.set_xlabel(note, color=GREY)
    _bare(axes)


def mark_pixels(axes: "Axes", pixels: list[tuple[int, int]], size: tuple[int, int]) -> None:
    """Ring each pixel and write its letter beside it, readable on dark and on bright ground."""
    from matplotlib.patheffects import withStroke

    outline = [withStroke(linewidth=2.5, foreground="black")]
    rows, cols = size
    for letter, (row, col) in zip(LETTERS, pixels, strict=False):
        axes.plot(col, row, "o", markersize=6, fillstyle="none", color="white", path_effects=outline)
        right, up = col < 0.85 * cols, row > 0.15 * rows
        axes.annotate(
            letter,
            (col, row),
            xytext=(6 if right else -6, 3 if up else -3),
            textcoords="offset points",
            ha="left" if right else "right",
            va="bottom" if up else "top",
            color="white",
            fontweight="bold",
            fontsize=10,
            path_effects=outline,
        )


def draw_map(axes: "Axes", angles: Array, top: float, title: str) -> "AxesImage":
    """Draw an error map (rows, cols) in degrees; pixels without an angle are grey."""
    image = axes.imshow(angles, cmap="magma", vmin=0, vmax=top, interpolation="nearest")
    axes.set_facecolor("#999999")
    axes.set_anchor("N")
    axes.set_title(title)
    _bare(axes)
    return image


def draw_spectra(
    axes: "Axes", lines: list[Line], pixel: tuple[int, int], rows: int, wavelengths: Array | None
) -> None:
    """Draw the spectra of one pixel of a picture with `rows` rows."""
    for line in lines:
        scale = rows // line.cube.shape[1]
        values = line.cube[:, pixel[0] // scale, pixel[1] // scale]
        x = np.arange(1, len(values) + 1) if wavelengths is None else wavelengths
        marker = "o" if len(values) <= 12 else None
        axes.plot(*with_gaps(x, values), label=line.label, marker=marker, markersize=3.5, **LINES[line.kind])
    axes.set_xlabel("band" if wavelengths is None else "wavelength (nm)")
    axes.set_axisbelow(True)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.locator_params(nbins=4, axis="x", integer=wavelengths is None)
    axes.locator_params(nbins=5, axis="y")


def _bare(axes: "Axes") -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def with_gaps(x: Array, values: Array) -> tuple[Array, Array]:
    """Break the line where bands were left out, such as those of water vapour."""
    step = np.abs(np.diff(x))
    if len(step) < 2:
        return x, values
    gaps = np.flatnonzero(step > 3 * np.median(step)) + 1
    return np.insert(x.astype(float), gaps, np.nan), np.insert(values.astype(float), gaps, np.nan)
