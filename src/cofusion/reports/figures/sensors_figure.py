"""One picture of sensors estimated from a pair: response, PSF, and how well both images then agree."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cofusion.reports.figures.data_figure import draw_psf, draw_response
from cofusion.reports.figures.false_colour import choose_bands, compose, stretch_limits
from cofusion.reports.figures.panels import GREY, draw_map, draw_picture
from cofusion.reports.figures.style import GAMMA, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

    from cofusion.sensors import Estimate

Array = npt.NDArray[Any]

_HEADING = 0.45  # inches
_CIRCLE = np.linspace(0, 2 * np.pi, 100)


def sensors_figure(
    estimate: "Estimate",
    lr_hsi: "Tensor",
    hr_msi: "Tensor",
    *,
    wavelengths: npt.ArrayLike | None = None,
    title: str = "",
    subtitle: str = "",
) -> "Figure":
    """Draw what was estimated from a pair, and what is left of it.

    The first row shows the response and the PSF with the half maximum of its Gaussian. The second one shows
    the HRMSI blurred and decimated, the LRHSI seen through the response, both in the first one's stretch, and
    the root mean square over the bands of their difference, each in percent of the band's root mean square;
    low-resolution pixels that the fit left out are grey there.

    Args:
        estimate: What `cofusion.sensors.estimate_sensors` found.
        lr_hsi: `(C, h, w)`, the pair it was found from.
        hr_msi: `(c, H, W)`.
        wavelengths: `(C,)` in nm.
        title: Heading, for example the names of the files.
        subtitle: Line below it.

    Returns:
        A figure of its own: no state of pyplot is read or changed.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    nm = None if wavelengths is None else np.asarray(wavelengths, dtype=np.float64)
    seen, blurred = (image.numpy() for image in estimate.compare(lr_hsi, hr_msi))
    with rc_context(STYLE):
        aspect = min(max(seen.shape[1] / seen.shape[2], 0.4), 1.8)
        height = 4.4 + 3.1 * aspect
        layout = ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - _HEADING / height), h_pad=0.1)
        figure = Figure(figsize=(10.5, height), layout=layout)
        figure.text(0.01, 1 - 0.1 / height, title, fontweight="bold", fontsize=11.5, va="top")
        figure.text(0.01, 1 - 0.33 / height, subtitle, color=GREY, fontsize=8.5, va="top")
        grid = figure.add_gridspec(2, 3, height_ratios=(0.85, aspect))
        draw_response(figure.add_subplot(grid[0, :2]), estimate.response, nm)
        _draw_psf(figure.add_subplot(grid[0, 2]), estimate)
        _draw_pictures([figure.add_subplot(grid[1, i]) for i in range(3)], seen, blurred, estimate)
    return figure


def _draw_psf(axes: "Axes", estimate: "Estimate") -> None:
    scale, gaussian = estimate.scale, estimate.gaussian
    draw_psf(axes, estimate.psf.numpy(), scale, (scale - 1) / 2)
    (down, right), half = gaussian.sigma, np.sqrt(2 * np.log(2))
    row, col = estimate.phase
    axes.plot(
        col + half * right * np.cos(_CIRCLE),
        row + half * down * np.sin(_CIRCLE),
        color="#E69F00",
        linewidth=1.4,
    )
    axes.set_xlabel(f"{axes.get_xlabel()}\norange: half maximum of the Gaussian")


def _draw_pictures(axes: "list[Axes]", seen: Array, blurred: Array, estimate: "Estimate") -> None:
    bands, rows, cols = seen.shape
    shown = choose_bands(bands)
    limits = stretch_limits(blurred, shown.bands)
    for axis, name, cube in zip(
        axes, ("HRMSI, blurred and decimated", "LRHSI through the response"), (blurred, seen), strict=False
    ):
        draw_picture(axis, compose(cube, shown.bands, limits, GAMMA), (rows, cols), name, shown.label)
        axis.set_anchor("N")
    whole = estimate.whole.numpy()
    powers = np.sqrt(np.square(blurred[:, whole], dtype=np.float64).mean(1))
    left = 100 * np.sqrt(np.square((seen - blurred) / powers[:, None, None]).mean(0))
    top = max(float(np.percentile(left[whole], 99)), 1e-9)
    image = draw_map(axes[2], np.where(whole, left, np.nan), top, "Difference (% of the bands' RMS)")
    axes[2].figure.colorbar(image, ax=axes[2], shrink=0.85, aspect=25, pad=0.02)
