"""One picture that shows what a configuration makes of a scene: split, simulated pair, sensors, spectra."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cofusion.reports.figures.false_colour import (
    FalseColour,
    choose_bands,
    compose,
    nearest_bands,
    stretch_limits,
)
from cofusion.reports.figures.panels import GREY, draw_picture, with_gaps
from cofusion.reports.figures.style import GAMMA, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cofusion.data.splits import Window
    from cofusion.sensors import Sensors, SpectralResponse

Array = npt.NDArray[Any]

# Okabe and Ito's palette; the boxes differ in their dashes as well.
_BOXES: dict[str, dict[str, Any]] = {
    "train": {"edgecolor": "#009E73", "linestyle": "-"},
    "validation": {"edgecolor": "#56B4E9", "linestyle": (0, (4, 2))},
    "test": {"edgecolor": "#E69F00", "linestyle": (0, (1.5, 1.5))},
}
_TICKS: dict[str, Any] = {"color": "#DDDDDD", "linewidth": 0.6}
# Visible bands have their own colour; infrared ones go from dark red over brown, grey and pink to black.
_COLOURS: dict[int, str] = {
    400: "#5E3C99",
    450: "#2B3FC0",
    490: "#0072B2",
    555: "#00963C",
    600: "#E69F00",
    655: "#D62020",
    705: "#7F1414",
    745: "#B0622A",
    785: "#DDA46A",
    865: "#8C8C8C",
    1610: "#CC79A7",
    2200: "#222222",
}
_HEADING = 0.45  # inches
_PERCENTILE_PIXELS = 1_000_000


def data_figure(
    hr_hsi: npt.ArrayLike,
    lr_hsi: npt.ArrayLike,
    hr_msi: npt.ArrayLike,
    sensors: "Sensors",
    windows: Mapping[str, Sequence["Window"]],
    *,
    wavelengths: npt.ArrayLike | None = None,
    title: str = "",
    subtitle: str = "",
) -> "Figure":
    """Draw a scene, the pair simulated from it and the sensors that simulated it.

    The first row shows the scene with the boxes of its split, the LRHSI and the HRMSI in false colour: of all
    three the bands nearest to one another, with the scene's stretch (2nd to 98th percentile of each shown
    band). An HRMSI of fewer than three bands, or of unknown wavelengths, has a stretch of its own. The second
    row shows the spectral response over the band centres, the PSF with the grid of low-resolution samples,
    and the scene's mean spectrum with the 5th to 95th percentile of its pixels.

    Args:
        hr_hsi: `(C, H, W)` in [0, 1], the scene; NumPy arrays and CPU tensors are both fine.
        lr_hsi: `(C, h, w)`, simulated from it.
        hr_msi: `(c, H, W)`, simulated from it.
        sensors: The sensors that simulated the pair.
        windows: Of the scene's split: windows by part, `train`, `validation` and `test`.
        wavelengths: `(C,)` in nm.
        title: Heading, for example the names of data set and scene.
        subtitle: Line below it.

    Returns:
        A figure of its own: no state of pyplot is read or changed.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    scene, coarse, guide = (np.asarray(cube) for cube in (hr_hsi, lr_hsi, hr_msi))
    nm = None if wavelengths is None else np.asarray(wavelengths, dtype=np.float64)
    with rc_context(STYLE):
        aspect = min(max(scene.shape[1] / scene.shape[2], 0.4), 1.8)
        height = 4.5 + 3.1 * aspect
        layout = ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - _HEADING / height), h_pad=0.1)
        figure = Figure(figsize=(10.5, height), layout=layout)
        figure.text(0.01, 1 - 0.1 / height, title, fontweight="bold", fontsize=11.5, va="top")
        figure.text(0.01, 1 - 0.33 / height, subtitle, color=GREY, fontsize=8.5, va="top")
        grid = figure.add_gridspec(2, 3, height_ratios=(aspect, 0.85))
        _draw_pictures([figure.add_subplot(grid[0, i]) for i in range(3)], scene, coarse, guide, nm, sensors)
        _draw_boxes(figure.axes[0], windows)
        draw_response(figure.add_subplot(grid[1, 0]), sensors.response, nm)
        draw_psf(figure.add_subplot(grid[1, 1]), sensors.psf.numpy(), sensors.scale, sensors.phase)
        _draw_spectrum(figure.add_subplot(grid[1, 2]), scene, nm)
    return figure


def _draw_pictures(
    axes: Sequence["Axes"], scene: Array, coarse: Array, guide: Array, nm: Array | None, sensors: "Sensors"
) -> None:
    hsi, msi = _choose_bands(len(scene), len(guide), nm, sensors)
    limits = own = stretch_limits(scene, hsi.bands)
    if nm is None or len(set(msi.bands)) < 3:
        own = stretch_limits(guide, msi.bands)
    for axis, name, cube, chosen, stretch in zip(
        axes,
        ("Scene", "LRHSI", "HRMSI"),
        (scene, coarse, guide),
        (hsi, hsi, msi),
        (limits, limits, own),
        strict=True,
    ):
        bands, rows, cols = cube.shape
        note = f"{rows} x {cols}, {bands} {'band' if bands == 1 else 'bands'}\n{chosen.label}"
        # The pair may be smaller than the scene: it holds whole blocks alone.
        size = scene.shape[1:] if cube is scene else guide.shape[1:]
        draw_picture(axis, compose(cube, chosen.bands, stretch, GAMMA), (size[0], size[1]), name, note)
        axis.set_anchor("N")


def _choose_bands(
    count: int, msi_count: int, nm: Array | None, sensors: "Sensors"
) -> tuple[FalseColour, FalseColour]:
    """Choose bands of the HRMSI, and those of the cube that look like them."""
    if nm is None:
        return choose_bands(count), choose_bands(msi_count)
    centres = sensors.response.weights.numpy() @ nm
    msi = choose_bands(msi_count, centres, like=nm)
    near = nearest_bands(nm, centres[list(msi.bands)])
    return near if len(set(near.bands)) == 3 else choose_bands(count, nm), msi


def _draw_boxes(axes: "Axes", windows: Mapping[str, Sequence["Window"]]) -> None:
    from matplotlib.patches import Rectangle
    from matplotlib.transforms import ScaledTranslation

    for part, style in _BOXES.items():
        for number, window in enumerate(windows.get(part, ())):
            (top, bottom), (left, right) = window.rows, window.cols
            label = None if number else part
            corner = (left - 0.5, top - 0.5)
            box = Rectangle(
                corner, right - left, bottom - top, fill=False, linewidth=1.8, label=label, clip_on=False
            )
            box.set(**style)
            axes.add_patch(box)
    if axes.patches:
        # Below the two lines of the note: on the picture it would hide boxes.
        below = axes.transAxes + ScaledTranslation(0, -0.3, axes.figure.dpi_scale_trans)
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, 0),
            bbox_transform=below,
            ncols=3,
            frameon=False,
            borderaxespad=0,
            borderpad=0.9,
            columnspacing=1.2,
        )


def draw_response(axes: "Axes", response: "SpectralResponse", nm: Array | None) -> None:
    """Draw a response over the band centres in nm, or over the bands' numbers."""
    x = np.arange(1, response.hsi_bands + 1) if nm is None else nm
    weights = response.weights.numpy()
    for name, row, colour in zip(response.names, weights, _curve_colours(weights, nm), strict=True):
        x_gaps, row_gaps = with_gaps(x, row)
        # No dots along the zero line, where those of the last band would hide all others.
        seen = np.flatnonzero(np.nan_to_num(row_gaps) > 0.005 * row.max())
        named = nm is None or name.endswith("nm")
        axes.plot(
            x_gaps,
            row_gaps,
            label=name if named else f"{name} ({row @ x:.0f})",
            marker=".",
            markevery=seen.tolist(),
            markersize=4,
            linewidth=1.2,
            color=colour,
        )
    axes.set(
        title=f"Spectral response: {response.source}" + ("" if nm is None else " (centres in nm)"),
        ylabel="weight",
    )
    _finish(axes, nm)
    _legend_on_top(axes, float(weights.max()), columns=3)


def _curve_colours(weights: Array, nm: Array | None) -> list[Any]:
    """Colour the curves by their centres; by their order where these are unknown."""
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    if nm is None:
        rank = weights.argmax(axis=1).argsort().argsort()
        return list(colormaps["turbo"](0.1 + 0.8 * rank / max(1, len(rank) - 1)))
    known = np.array([to_rgb(colour) for colour in _COLOURS.values()])
    centres = weights @ nm
    return list(np.stack([np.interp(centres, list(_COLOURS), channel) for channel in known.T], axis=1))


def draw_psf(axes: "Axes", psf: Array, scale: int, phase: float) -> None:
    """Draw the PSF at the place of one low-resolution sample, over full-resolution pixels."""
    from matplotlib.patches import Rectangle

    size = len(psf)
    # Coordinates of the block of sample 0: its pixels are 0 to scale - 1.
    first = phase - (size - 1) / 2 - 0.5
    extent = (first, first + size, first + size, first)
    axes.imshow(psf, extent=extent, cmap="viridis", vmin=0, interpolation="nearest")
    # Half a block more than the PSF and the sample's own block, so that the next samples are seen.
    low, high = min(first, -0.5) - scale / 2, max(first + size, scale - 0.5) + scale / 2
    blocks = np.arange(np.floor(low / scale), np.ceil(high / scale) + 1) * scale - 0.5
    for edge in blocks:
        axes.axvline(edge, **_TICKS)
        axes.axhline(edge, **_TICKS)
    # The outermost taps may be too small to be seen.
    axes.add_patch(Rectangle((first, first), size, size, fill=False, edgecolor="white", linestyle=":"))
    samples = blocks + 0.5 + phase
    rows, cols = np.meshgrid(*2 * [samples[(samples >= low) & (samples <= high)]])
    dots: dict[str, Any] = {"markersize": 5, "color": "white", "markeredgecolor": "black", "clip_on": False}
    axes.plot(cols.ravel(), rows.ravel(), "o", **dots)
    axes.set(xlim=(low, high), ylim=(high, low))
    axes.set_facecolor("#440154")
    axes.set(
        title=f"PSF {size} x {size}, peak {psf.max():.3g}",
        xlabel=f"pixels; lines: blocks of {scale}; dots: samples",
    )
    axes.locator_params(integer=True, nbins=5)


def _draw_spectrum(axes: "Axes", scene: Array, nm: Array | None) -> None:
    x = np.arange(1, len(scene) + 1) if nm is None else nm
    pixels = scene.reshape(len(scene), -1)
    # Percentiles copy what they look at.
    some = pixels[:, :: max(1, pixels.shape[1] // _PERCENTILE_PIXELS)]
    low, high = np.percentile(some, (5, 95), axis=1)
    band = with_gaps(x, low)
    axes.fill_between(
        band[0], band[1], with_gaps(x, high)[1], color="#0072B2", alpha=0.2, linewidth=0, label="5 to 95 %"
    )
    axes.plot(*with_gaps(x, pixels.mean(axis=1)), color="#0072B2", linewidth=1.4, label="mean")
    axes.set(title="Spectrum of the scene", ylabel="scaled value")
    _finish(axes, nm)
    _legend_on_top(axes, float(high.max()), columns=2)


def _finish(axes: "Axes", nm: Array | None) -> None:
    axes.set_xlabel("band" if nm is None else "wavelength (nm)")
    axes.set_axisbelow(True)
    axes.grid(**_TICKS)
    axes.locator_params(nbins=5)


def _legend_on_top(axes: "Axes", highest: float, columns: int) -> None:
    """Put the legend above curves that reach from 0 to `highest`."""
    rows = -(-len(axes.get_legend_handles_labels()[1]) // columns)
    axes.set_ylim(0, highest / (0.93 - 0.07 * rows))
    axes.legend(loc="upper center", frameon=False, ncols=columns, handlelength=1.3, columnspacing=1.2)
