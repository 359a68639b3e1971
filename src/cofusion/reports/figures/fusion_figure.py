"""One picture that shows what a fusion did: false colour, error maps and spectra."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cofusion.reports.figures.false_colour import FalseColour, choose_bands, compose, stretch_limits
from cofusion.reports.figures.panels import (
    GREY,
    LETTERS,
    Line,
    draw_map,
    draw_picture,
    draw_spectra,
    mark_pixels,
)
from cofusion.reports.figures.pixels import interesting_pixels
from cofusion.reports.figures.style import GAMMA, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]

# Inches.
PANEL, GAP, MARGIN = 2.2, 0.12, 0.15
HEADING, NOTES, FOOT, TICKS = 0.75, 0.6, 0.6, 0.38


def spectral_angles(fused: npt.ArrayLike, reference: npt.ArrayLike) -> Array:
    """Return the spectral angle of every pixel in degrees, (rows, cols).

    The mean over the pixels is `cofusion.metrics.sam`, whose conventions hold here too: a pixel without a
    reference spectrum has no angle and is NaN.

    Args:
        fused: (bands, rows, cols).
        reference: (bands, rows, cols).
    """
    one, other = _unit(fused), _unit(reference)
    angles: Array = np.degrees(
        2 * np.arctan2(np.linalg.norm(one - other, axis=0), np.linalg.norm(one + other, axis=0))
    )
    angles[~other.any(axis=0)] = np.nan
    return angles


def fusion_figure(
    lr_hsi: npt.ArrayLike,
    hr_msi: npt.ArrayLike,
    fused: npt.ArrayLike,
    reference: npt.ArrayLike | None = None,
    bicubic: npt.ArrayLike | None = None,
    *,
    wavelengths: npt.ArrayLike | None = None,
    msi_wavelengths: npt.ArrayLike | None = None,
    title: str = "",
    method: str = "Fused",
) -> "Figure":
    """Draw inputs, result and, where a reference is known, the error of one fusion.

    The first row shows the cubes in false colour, all with one stretch: the 2nd to 98th percentile of each
    shown band of the reference, or of the LRHSI where there is none. The second row shows maps of the
    spectral angle to the reference, and the spectra of up to three pixels that are marked in the HRMSI.
    Without a reference their spectra are compared with the LRHSI's.

    Args:
        lr_hsi: (C, h, w) in [0, 1]; NumPy arrays and CPU tensors are both fine, here and below.
        hr_msi: (c, H, W) in [0, 1].
        fused: (C, H, W), the method's result.
        reference: (C, H, W), if known.
        bicubic: (C, H, W), the LRHSI upsampled, for comparison.
        wavelengths: (C,) in nm.
        msi_wavelengths: (c,) centres of the HRMSI's bands in nm.
        title: Heading, for example the scene's name.
        method: What the fused picture is called.

    Returns:
        A figure of its own: no state of pyplot is read or changed.
    """
    from matplotlib import rc_context

    cubes = {"LRHSI": lr_hsi, "HRMSI": hr_msi, "Bicubic": bicubic, method: fused, "Reference": reference}
    known = {name: np.asarray(cube) for name, cube in cubes.items() if cube is not None}
    nm = None if wavelengths is None else np.asarray(wavelengths)
    hsi_bands = choose_bands(len(known[method]), nm)
    msi_bands = choose_bands(len(known["HRMSI"]), msi_wavelengths, like=nm)
    with rc_context(STYLE):
        return _Sheet(known, method).draw(hsi_bands, msi_bands, nm, title)


class _Sheet:
    """The layout of one figure, in inches from its top left corner."""

    def __init__(self, cubes: dict[str, Array], method: str) -> None:
        from matplotlib.figure import Figure

        self.cubes = cubes
        self.method = method
        self.size: tuple[int, int] = cubes[method].shape[1:]
        self.reference = cubes.get("Reference")
        self.estimates = {name: cubes[name] for name in ("Bicubic", method) if name in cubes}
        self.pixels = interesting_pixels(cubes[method] if self.reference is None else self.reference)

        aspect = self.size[0] / self.size[1]
        self.picture_height = PANEL * min(max(aspect, 0.3), 2.0)
        self.lower_height = min(max(self.picture_height, 0.85 * PANEL), 1.15 * PANEL)
        self.map_height = min(self.lower_height, PANEL * aspect)
        self.maps = 0 if self.reference is None else len(self.estimates)
        self.lower_top = HEADING + self.picture_height + NOTES
        self.width = 2 * MARGIN + len(cubes) * (PANEL + GAP) - GAP
        self.height = self.lower_top + self.lower_height + FOOT
        self.figure = Figure(figsize=(self.width, self.height))

    def draw(
        self, hsi_bands: FalseColour, msi_bands: FalseColour, wavelengths: Array | None, title: str
    ) -> "Figure":
        self._heading(title, f"False colour {hsi_bands.label}   ·   HRMSI {msi_bands.label}")
        self._pictures(hsi_bands, msi_bands)
        if self.reference is not None:
            self._maps(self.reference)
        self._spectra(wavelengths)
        return self.figure

    def _axes(self, left: float, top: float, width: float, height: float) -> "Axes":
        bottom = self.height - top - height
        axes: Axes = self.figure.add_axes(
            (left / self.width, bottom / self.height, width / self.width, height / self.height)
        )
        return axes

    def _heading(self, title: str, bands: str) -> None:
        left = MARGIN / self.width
        self.figure.text(left, 1 - 0.12 / self.height, title, fontweight="bold", fontsize=11.5, va="top")
        self.figure.text(left, 1 - 0.34 / self.height, bands, color=GREY, va="top")

    def _pictures(self, hsi_bands: FalseColour, msi_bands: FalseColour) -> None:
        measured = self.cubes["LRHSI"] if self.reference is None else self.reference
        limits = stretch_limits(measured, hsi_bands.bands)
        for column, (name, cube) in enumerate(self.cubes.items()):
            axes = self._axes(MARGIN + column * (PANEL + GAP), HEADING, PANEL, self.picture_height)
            bands = (msi_bands if name == "HRMSI" else hsi_bands).bands
            draw_picture(axes, compose(cube, bands, limits, GAMMA), self.size, name, self._note(name))
            if name == "HRMSI":
                mark_pixels(axes, self.pixels, self.size)

    def _note(self, name: str) -> str:
        """Scores below an estimate, the size below everything else."""
        if self.reference is not None and name in self.estimates:
            return _scores(self.estimates[name], self.reference)
        bands, rows, cols = self.cubes[name].shape
        return f"{rows} x {cols}, {bands} {'band' if bands == 1 else 'bands'}"

    def _maps(self, reference: Array) -> None:
        angles = {name: spectral_angles(cube, reference) for name, cube in self.estimates.items()}
        finite = np.concatenate([each[np.isfinite(each)] for each in angles.values()])
        top = max(float(np.percentile(finite, 99)), 0.1) if finite.size else 1.0
        for column, (name, each) in enumerate(angles.items()):
            left = MARGIN + column * (PANEL + GAP)
            axes = self._axes(left, self.lower_top, PANEL, self.lower_height)
            image = draw_map(axes, each, top, f"SAM error, {name}")
        width = self.maps * (PANEL + GAP) - GAP
        bar_axes = self._axes(MARGIN, self.lower_top + self.map_height + 0.08, width, 0.09)
        bar = self.figure.colorbar(image, cax=bar_axes, orientation="horizontal", extend="max")
        bar.set_label("spectral angle to the reference (°)")
        bar.outline.set_visible(False)

    def _spectra(self, wavelengths: Array | None) -> None:
        measured = "LRHSI" if self.reference is None else "Reference"
        lines = [Line("measured", measured, self.cubes[measured])]
        lines += [
            Line("fused" if name == self.method else "bicubic", name, cube)
            for name, cube in self.estimates.items()
        ]
        start = MARGIN + self.maps * (PANEL + GAP)
        step = (self.width - MARGIN - start) / len(LETTERS)
        for place, pixel in enumerate(self.pixels):
            left = start + place * step + TICKS
            axes = self._axes(left, self.lower_top, step - TICKS - 0.1, self.lower_height)
            draw_spectra(axes, lines, pixel, self.size[0], wavelengths)
            axes.set_title(f"{LETTERS[place]}   row {pixel[0]}, col {pixel[1]}")
            if place == 0:
                axes.legend(frameon=False, handlelength=1.6, borderaxespad=0.1)


def _unit(cube: npt.ArrayLike) -> Array:
    """Scale every spectrum to length 1; a zero spectrum stays zero."""
    spectra = np.asarray(cube, dtype=np.float64)
    length = np.linalg.norm(spectra, axis=0)
    unit: Array = spectra / np.where(length == 0, 1, length)
    return unit


def _scores(fused: Array, reference: Array) -> str:
    from torch import from_numpy

    from cofusion.metrics import psnr, sam

    one, other = (from_numpy(np.ascontiguousarray(cube)) for cube in (fused, reference))
    return f"PSNR {float(psnr(one, other)):.2f} dB, SAM {float(sam(one, other)):.2f}°"
