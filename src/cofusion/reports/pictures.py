"""The pictures of a report: figures as files, and scenes for its page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cofusion.errors import UserError
from cofusion.files import file_stem
from cofusion.reports.figures.comparison import Comparison, compare
from cofusion.reports.figures.comparison_figure import comparison_figure
from cofusion.reports.figures.curves_figure import band_figure, training_figure
from cofusion.reports.figures.method_lines import Lines, method_lines
from cofusion.reports.figures.spectra_figure import spectra_figure
from cofusion.reports.figures.style import save_for_print
from cofusion.reports.page.scenes import page_scene, sample_step
from cofusion.reports.records.curves import read_curve
from cofusion.reports.records.images import RecordedScene
from cofusion.reports.records.recorded import SceneImages, label, recorded_scenes
from cofusion.reports.sections import Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]
Pixels = Mapping[str, Sequence[tuple[int, int]]]

_PRINT = 300  # pixels per inch of what is drawn as pixels


@dataclass
class Pictures:
    """What was drawn.

    Attributes:
        figures: Caption by path, relative to the report, of every PNG; a PDF lies beside each.
        plots: Those of them that show numbers, not scenes.
        scenes: For the page, see `page_scene`.
        notes: What could not be shown, and why.
    """

    figures: dict[Path, str] = field(default_factory=dict)
    plots: list[Path] = field(default_factory=list)
    scenes: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Bands:
    """The PSNR of every band of a scene, by method."""

    scene: str
    psnr: Mapping[str, Array]
    wavelengths: Array | None

    @property
    def count(self) -> int:
        return len(next(iter(self.psnr.values())))


def draw_pictures(
    sections: Sequence[Section], titles: Sequence[str], folder: Path, pixels: Pixels | None = None
) -> Pictures:
    """Draw everything that the runs of a report recorded images and curves for.

    Args:
        sections: As the tables have them.
        titles: A heading for each section.
        folder: The report's folder; files go to `figures/` in it.
        pixels: `(row, col)` by scene whose spectra are drawn; chosen where left out.

    Raises:
        UserError: A pixel lies in no recorded scene.
        OSError: The folder cannot be written.
    """
    pictures, pixels = Pictures(), pixels or {}
    found = [
        scene
        for section, title in zip(sections, titles, strict=True)
        for scene in recorded_scenes(section, title, pictures.notes)
    ]
    _check_pixels(pixels, found)
    step = sample_step([one.shape for scene in found for one in _shown(scene)])
    count = sum(2 * len(scene.recorded) + 3 for scene in found)
    lines = method_lines(label(entry) for section in sections for entry in section.entries)
    for number, (section, title) in enumerate(zip(sections, titles, strict=True)):
        drawn = _Drawn(pictures, folder, Path("figures") / _stem(sections, number), title, lines)
        bands = []
        for scene in (scene for scene in found if scene.section is section):
            compared = _compare(scene, step, pixels.get(scene.name), pictures.notes)
            if compared is not None:
                drawn.scene(compared)
                pictures.scenes.append(page_scene(compared, title, count, lines))
                bands += [_band_psnr(compared)] if compared.has_reference else []
        if bands:
            drawn.bands(bands)
        drawn.training(section)
    return pictures


class _Drawn:
    """Writes the figures of a section and remembers them."""

    def __init__(self, pictures: Pictures, folder: Path, where: Path, title: str, lines: Lines) -> None:
        self.pictures = pictures
        self.folder = folder
        self.where = where
        self.title = title
        self.lines = lines

    def scene(self, compared: Comparison) -> None:
        heading, stem = f"{self.title}, {compared.scene}", f"scene_{file_stem(compared.scene)}"
        errors = " and maps of their spectral angle to the reference" if compared.has_reference else ""
        self._save(comparison_figure(compared, heading), stem, f"{heading}: results of all methods{errors}")
        if compared.pixels:
            figure = spectra_figure(compared, self.lines, heading)
            self._save(figure, f"{stem}_spectra", f"{heading}: spectra of chosen pixels")

    def bands(self, bands: Sequence[_Bands]) -> None:
        """Draw means over the scenes that all methods have: another set would be another mean."""
        methods = list(dict.fromkeys(method for one in bands for method in one.psnr))
        shared = [one for one in bands if len(one.psnr) == len(methods)]
        alike = [one for one in shared if one.count == shared[0].count]
        if not alike:
            listed = ", ".join(methods)
            self.pictures.notes.append(f"{self.title}: no PSNR of the bands: no scene has all of {listed}")
            return
        means = {method: np.mean([one.psnr[method] for one in alike], axis=0) for method in methods}
        names = ", ".join(one.scene for one in alike)
        over = f"mean over {len(alike)} scenes ({names})" if len(alike) > 1 else f"of {names}"
        caption = f"{self.title}: PSNR of every band, {over}; of several seeds the first that recorded images"
        figure = band_figure(means, self.lines, alike[0].wavelengths, self.title)
        self._save(figure, "band_psnr", caption, plot=True)

    def training(self, section: Section) -> None:
        found = [(label(entry), run) for entry in section.entries for run in entry.runs]
        curves = [curve for name, run in found if (curve := read_curve(name, run)) is not None]
        if curves:
            caption = f"{self.title}: validation PSNR during training"
            figure = training_figure(curves, self.lines, self.title)
            self._save(figure, "training", caption, plot=True)

    def _save(self, figure: "Figure", stem: str, caption: str, plot: bool = False) -> None:
        path, number = self.where / f"{stem}.png", 1
        while path in self.pictures.figures:
            number += 1
            path = self.where / f"{stem}_{number}.png"
        save_for_print(figure, self.folder / path, _PRINT)
        self.pictures.figures[path] = caption
        self.pictures.plots += [path] if plot else []


def _stem(sections: Sequence[Section], number: int) -> str:
    """A folder's name for a section; those of one data set and scale are numbered."""
    section = sections[number]
    alike = [other for other in sections if (other.dataset, other.scale) == (section.dataset, section.scale)]
    stem = file_stem(f"{section.dataset}_x{section.scale}") or "data"
    place = next(i for i, other in enumerate(alike, start=1) if other is section)
    return f"{stem}_{place}" if len(alike) > 1 else stem


def _shown(scene: SceneImages) -> list[RecordedScene]:
    """Of every method, and one more for the reference."""
    images = list(scene.recorded.values())
    return [*images, images[0]]


def _band_psnr(compared: Comparison) -> _Bands:
    psnr = {view.name: view.band_psnr for view in compared.views if view.band_psnr is not None}
    return _Bands(compared.scene, psnr, compared.wavelengths)


def _check_pixels(pixels: Pixels, found: Sequence[SceneImages]) -> None:
    for name, places in pixels.items():
        sizes = [one.shape[1:] for scene in found if scene.name == name for one in scene.recorded.values()]
        if not sizes:
            known = ", ".join(dict.fromkeys(scene.name for scene in found)) or "none"
            raise UserError(f"no run has recorded images of the scene {name!r}; recorded are: {known}")
        for row, col in places:
            if any(row >= rows or col >= cols for rows, cols in sizes):
                size = " x ".join(map(str, sizes[0]))
                raise UserError(f"pixel {row},{col} lies outside of {name}, which has {size} pixels")


def _compare(
    scene: SceneImages, step: int, pixels: Sequence[tuple[int, int]] | None, notes: list[str]
) -> Comparison | None:
    def left_out(method: str, reason: str) -> None:
        notes.append(f"{scene.title}, {scene.name}, {method}: no picture: {reason}")

    try:
        return compare(scene.recorded, scene.scores, step=step, pixels=pixels, left_out=left_out)
    except UserError as error:
        notes.append(f"{scene.title}, {scene.name}: no picture: {error}")
        return None
