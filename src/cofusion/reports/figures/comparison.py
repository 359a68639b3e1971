"""What the pictures of a scene show of every method, taken from the recorded cubes one at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cofusion.errors import UserError
from cofusion.reports.figures.false_colour import FalseColour, choose_bands, compose, stretch_limits
from cofusion.reports.figures.fusion_figure import spectral_angles
from cofusion.reports.figures.pixels import detail_window, interesting_pixels
from cofusion.reports.figures.style import GAMMA
from cofusion.reports.records.image_checks import check_psnr, check_same
from cofusion.reports.records.images import RecordedScene

Array = npt.NDArray[Any]

#: A sample whose value is not a number.
NO_VALUE = 65535
#: Samples are whole multiples of 1 / STEPS above that of zero: from -2 to 4.5.
STEPS, ZERO = 10000, 20000


@dataclass(frozen=True, eq=False)
class View:
    """What is shown of one cube.

    Attributes:
        name: Of the method, or `Reference`.
        picture: `(rows, cols, 3)` uint8, in false colour.
        spectra: `(pixels, bands)` at the chosen pixels.
        samples: `(bands, rows, cols)` uint16, the thinned cube in steps of 1 / `STEPS`, where `ZERO` is 0
            and `NO_VALUE` none.
        angles: `(rows, cols)` spectral angle to the reference in degrees; None without a reference.
        band_psnr: `(bands,)` in dB; None without a reference.
        scores: Recorded metrics of this scene.
    """

    name: str
    picture: Array
    spectra: Array
    samples: Array
    angles: Array | None
    band_psnr: Array | None
    scores: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Comparison:
    """One scene as all methods fused it.

    Attributes:
        scene: Its name.
        wavelengths: `(bands,)` in nm, or None.
        bands: Shown as red, green and blue.
        msi_bands: The same of the HRMSI.
        pixels: `(row, col)` of the pixels whose spectra are drawn.
        detail: Top row, left column and size of the square that is enlarged.
        step: Samples are taken every so many rows and columns, beginning in the middle of the first step.
        guide: `(rows, cols, 3)`, the HRMSI.
        coarse: `(h, w, 3)`, the LRHSI.
        measured: What the methods are compared with: the reference or, where there is none, the LRHSI.
        views: Of the methods.
    """

    scene: str
    wavelengths: Array | None
    bands: FalseColour
    msi_bands: FalseColour
    pixels: list[tuple[int, int]]
    detail: tuple[int, int, int]
    step: int
    guide: Array
    coarse: Array
    measured: View
    views: list[View]

    @property
    def has_reference(self) -> bool:
        """Whether the errors are known."""
        return self.measured.name == "Reference"

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns at full resolution."""
        rows, cols = self.guide.shape[:2]
        return rows, cols

    @property
    def top(self) -> float:
        """The angle at the upper end of the colour bar: the methods' median of their 99th percentile.

        One bad method does not make all others look alike.
        """
        angles = [view.angles[np.isfinite(view.angles)] for view in self.views if view.angles is not None]
        ends = [float(np.percentile(each, 99)) for each in angles if each.size]
        return max(float(np.median(ends)), 0.1) if ends else 1.0


def compare(
    recorded: Mapping[str, RecordedScene],
    scores: Mapping[str, Mapping[str, float]] | None = None,
    *,
    step: int = 1,
    pixels: Sequence[tuple[int, int]] | None = None,
    left_out: Callable[[str, str], None] = lambda method, reason: None,
) -> Comparison:
    """Look at one scene as several methods fused it.

    Bands, stretch, pixels and detail are chosen from the reference (the LRHSI where there is none) alone, so
    no method has a say in them.

    Args:
        recorded: By method, in the order to show. The first decides what the scene is.
        scores: By method, the recorded metrics of this scene.
        step: Keep a sample every so many rows and columns.
        pixels: `(row, col)` inside the scene whose spectra are drawn, up to three; chosen by
            `interesting_pixels` where left out.
        left_out: Called with method and reason for each that cannot stand beside the first: its file is
            damaged, its reference another, or its PSNR not the recorded one.

    Raises:
        UserError: No method is left.
    """
    first, rest = _first(recorded, left_out)
    coarse, guide = (first.cube(key) for key in ("lr_hsi", "hr_msi"))
    measured = first.cube("reference") if "reference" in first.cubes else coarse
    bands = choose_bands(first.shape[0], first.wavelengths)
    msi_bands = choose_bands(len(guide), first.msi_wavelengths, like=first.wavelengths)
    limits = stretch_limits(measured, bands.bands)
    chosen = _pixels(pixels, measured, first.shape)

    def view(name: str, cube: Array) -> View:
        known = "reference" in first.cubes and name != "Reference"
        return View(
            name=name,
            picture=_picture(cube, bands, limits),
            spectra=_spectra(cube, chosen, first.shape),
            samples=_samples(cube, step, first.shape),
            angles=spectral_angles(cube, measured).astype(np.float32) if known else None,
            band_psnr=_band_psnr(cube, measured) if known else None,
            scores=(scores or {}).get(name, {}),
        )

    views = []
    for method in rest:
        try:
            check_same(recorded[method], first, measured)
            fused = recorded[method].cube("fused")
            if "reference" in first.cubes:
                check_psnr(recorded[method].called, fused, measured, (scores or {}).get(method, {}))
            views.append(view(method, fused))
        except UserError as error:
            left_out(method, str(error))
    if not views:
        raise UserError(f"no recorded image of {first.name} can be used")
    return Comparison(
        scene=first.name,
        wavelengths=first.wavelengths,
        bands=bands,
        msi_bands=msi_bands,
        pixels=chosen,
        detail=detail_window(guide),
        step=step,
        guide=_picture(guide, msi_bands, limits),
        coarse=_picture(coarse, bands, limits),
        measured=view("Reference" if "reference" in first.cubes else "LRHSI", measured),
        views=views,
    )


def _first(
    recorded: Mapping[str, RecordedScene], left_out: Callable[[str, str], None]
) -> tuple[RecordedScene, list[str]]:
    """The first scene whose file can be read whole, and the methods from there on."""
    methods = list(recorded)
    for place, method in enumerate(methods):
        try:
            for key in recorded[method].cubes:
                recorded[method].cube(key)
            return recorded[method], methods[place:]
        except UserError as error:
            left_out(method, str(error))
    raise UserError("no recorded image can be read")


def _pixels(
    given: Sequence[tuple[int, int]] | None, measured: Array, shape: tuple[int, int, int]
) -> list[tuple[int, int]]:
    if given is not None:
        return list(given)
    scale = shape[1] // measured.shape[1]
    return [(row * scale, col * scale) for row, col in interesting_pixels(measured)]


def _picture(cube: Array, bands: FalseColour, limits: tuple[Array, Array]) -> Array:
    return (compose(cube, bands.bands, limits, GAMMA) * 255).round().astype(np.uint8)


def _spectra(cube: Array, pixels: list[tuple[int, int]], shape: tuple[int, int, int]) -> Array:
    scale = shape[1] // cube.shape[1]
    return (
        np.stack([cube[:, row // scale, col // scale] for row, col in pixels]) if pixels else np.empty((0, 0))
    )


def _samples(cube: Array, step: int, shape: tuple[int, int, int]) -> Array:
    scale = shape[1] // cube.shape[1]
    rows, cols = (np.arange(min(step // 2, size - 1), size, step) // scale for size in shape[1:])
    thin = cube[:, rows][:, :, cols]
    whole = np.clip(np.nan_to_num(thin) * STEPS + ZERO, 0, NO_VALUE - 1).round().astype(np.uint16)
    return np.where(np.isfinite(thin), whole, np.uint16(NO_VALUE))


def _band_psnr(cube: Array, reference: Array) -> Array:
    """PSNR of each band, peak 1, at most 160 dB as in `cofusion.metrics.psnr`."""
    mse = np.mean((cube.astype(np.float64) - reference) ** 2, axis=(1, 2))
    decibels: Array = -10 * np.log10(np.maximum(mse, 1e-16))
    return decibels
