"""One picture that shows what a configuration makes of a scene: split, simulated pair, sensors, spectra."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cofusion.reports.false_colour import choose_bands, compose, stretch_limits
from cofusion.reports.figures import GAMMA, STYLE
from cofusion.reports.panels import GREY, draw_picture, with_gaps

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

    The first row shows the scene with the boxes of its split, the LRHSI and the HRMSI in false colour, all
    with the scene's stretch (2nd to 98th percentile of each shown band). The second row shows the spectral
    response over the band centres, the PSF with the grid of low-resolution samples, and the scene's mean
    spectrum with the 5th to 95th percentile of its pixels.

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

    scene, coarse, guide = (np.asarray(cube) for cube in (hr_hsi, lr_hsi, hr_msi))
    nm = None if wavelengths is None else np.asarray(wavelengths, dtype=np.float64)
    with rc_context(STYLE):
        aspect = min(max(scene.shape[1] / scene.shape[2], 0.4), 1.8)
        figure = Figure(figsize=(10.5, 4.4 + 3.1 * aspect), layout="constrained")
        figure.suptitle(f"{title}\n", fontweight="bold", fontsize=11.5, x=0.01, ha="left")
        figure.text(0.01, 1 - 0.36 / figure.get_figheight(), subtitle, color=GREY, fontsize=8.5, va="top")
        grid = figure.add_gridspec(2, 3, height_ratios=(aspect, 0.85))
        _draw_pictures([figure.add_subplot(grid[0, i]) for i in range(3)], scene, coarse, guide, nm, sensors)
        _draw_boxes(figure.axes[0], windows)
        _draw_response(figure.add_subplot(grid[1, 0]), sensors.response, nm)
        _draw_psf(figure.add_subplot(grid[1, 1]), sensors)
        _draw_spectrum(figure.add_subplot(grid[1, 2]), scene, nm)
    return figure


def _draw_pictures(
    axes: Sequence["Axes"], scene: Array, coarse: Array, guide: Array, nm: Array | None, sensors: "Sensors"
) -> None:
    hsi = choose_bands(len(scene), nm)
    limits = stretch_limits(scene, hsi.bands)
    centres = None if nm is None else sensors.response.weights.numpy() @ nm
    msi = choose_bands(len(guide), centres, like=nm)
    for axis, name, cube, chosen in zip(
        axes, ("Scene", "LRHSI", "HRMSI"), (scene, coarse, guide), (hsi, hsi, msi), strict=True
    ):
        bands, rows, cols = cube.shape
        note = f"{rows} x {cols}, {bands} bands\n{chosen.label}"
        # The pair may be smaller than the scene: it holds whole blocks alone.
        size = scene.shape[1:] if cube is scene else guide.shape[1:]
        draw_picture(axis, compose(cube, chosen.bands, limits, GAMMA), (size[0], size[1]), name, note)


def _draw_boxes(axes: "Axes", windows: Mapping[str, Sequence["Window"]]) -> None:
    from matplotlib.patches import Rectangle

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
        axes.legend(loc="upper right", framealpha=0.85, handlelength=2.2)


def _draw_response(axes: "Axes", response: "SpectralResponse", nm: Array | None) -> None:
    from matplotlib import colormaps

    x = np.arange(1, response.hsi_bands + 1) if nm is None else nm
    weights = response.weights.numpy()
    # From blue for the shortest wavelength to red for the longest.
    rank = (weights @ x).argsort().argsort()
    colours = colormaps["turbo"](0.1 + 0.8 * rank / max(1, len(rank) - 1))
    for name, row, colour in zip(response.names, weights, colours, strict=True):
        axes.plot(*with_gaps(x, row), label=name, marker=".", markersize=4, linewidth=1.2, color=colour)
    axes.set(title=f"Spectral response: {response.source}", ylabel="weight")
    axes.legend(frameon=False, ncols=1 + len(response.names) // 5)
    _finish(axes, nm)


def _draw_psf(axes: "Axes", sensors: "Sensors") -> None:
    """The PSF at the place of one low-resolution sample, over full-resolution pixels."""
    psf, scale, phase = sensors.psf.numpy(), sensors.scale, sensors.phase
    size = len(psf)
    # Coordinates of the block of sample 0: its pixels are 0 to scale - 1.
    first = phase - (size - 1) / 2 - 0.5
    extent = (first, first + size, first + size, first)
    axes.imshow(psf, extent=extent, cmap="viridis", vmin=0, interpolation="nearest")
    low, high = min(first, -0.5) - 0.5, max(first + size, scale - 0.5) + 0.5
    blocks = np.arange(np.floor(low / scale), np.ceil(high / scale) + 1) * scale - 0.5
    for edge in blocks:
        axes.axvline(edge, **_TICKS)
        axes.axhline(edge, **_TICKS)
    samples = blocks + 0.5 + phase
    rows, cols = np.meshgrid(samples, samples)
    axes.plot(cols.ravel(), rows.ravel(), "o", markersize=5, color="white", markeredgecolor="black")
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
    low, high = np.percentile(pixels, (5, 95), axis=1)
    band = with_gaps(x, low)
    axes.fill_between(
        band[0], band[1], with_gaps(x, high)[1], color="#0072B2", alpha=0.2, linewidth=0, label="5 to 95 %"
    )
    axes.plot(*with_gaps(x, pixels.mean(axis=1)), color="#0072B2", linewidth=1.4, label="mean")
    axes.set(title="Spectrum of the scene", ylabel="scaled value")
    axes.legend(frameon=False)
    _finish(axes, nm)


def _finish(axes: "Axes", nm: Array | None) -> None:
    axes.set_xlabel("band" if nm is None else "wavelength (nm)")
    axes.set_axisbelow(True)
    axes.grid(**_TICKS)
    axes.locator_params(nbins=5)
