"""The picture and the page beside a product: what it looks like, what it was made of, how well it fits."""

import math
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cofusion.errors import UserError
from cofusion.files import write_text
from cofusion.inference import product
from cofusion.inference.consistency import Difference, compare, sensors_of
from cofusion.inference.files import Result
from cofusion.inference.images import Array, Image
from cofusion.inference.methods import msi_centres
from cofusion.inference.quality import quality
from cofusion.inference.ranges import Range
from cofusion.reports.figures.false_colour import choose_bands
from cofusion.reports.figures.quicklook import View, quicklook
from cofusion.reports.figures.style import save_figure
from cofusion.scenes.space import readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Differences from both images, and quality without a reference.
Measured = tuple[tuple[Difference, Difference], dict[str, float]]

# Pixels along the longer side of a whole picture, and of a detail.
_WHOLE, _DETAIL = 800, 160


def check_free(target: Path) -> None:
    """Check that a report would replace nothing.

    Args:
        target: The product that it will lie beside.

    Raises:
        UserError: There is a file of its name.
    """
    if taken := [str(path) for path in beside(target) if path.exists()]:
        raise UserError(
            f"{' and '.join(taken)} would be replaced by the report; give another -o, --no-report to write "
            "none, or --overwrite"
        )


def beside(target: Path) -> tuple[Path, Path]:
    """Return the paths of the picture and the page beside a product."""
    return target.with_suffix(".png"), target.with_suffix(".md")


def write_report(result: Result) -> tuple[Path, Path]:
    """Write `NAME.png`, a quick look, and `NAME.md`, one page about the fusion, beside a product.

    Args:
        result: What was fused.

    Returns:
        The paths of both.

    Raises:
        OSError: The folder cannot be written.
    """
    picture, page = beside(result.path)
    save_figure(_figure(result), picture)
    sensors = result.setup.sensors or sensors_of(result.setup.method.provenance)
    measured = None
    if sensors is not None:
        images = result.path, result.setup, result.layout, sensors
        measured = compare(*images), quality(*images)
    write_text(page, "\n".join(_lines(result, picture, measured)) + "\n")
    return picture, page


def _figure(result: Result) -> "Figure":
    setup, layout = result.setup, result.layout
    lr, hr, scale = setup.pair.lr_hsi, setup.pair.hr_msi, setup.pair.scale
    nm = lr.wavelengths
    msi_nm = hr.wavelengths or msi_centres(setup.method.provenance) or None
    hsi = choose_bands(lr.shape[0], nm)
    msi = choose_bands(hr.shape[0], msi_nm, like=nm)
    rows, cols = (_middle(size, scale) for size in lr.shape[1:])
    fine_rows, fine_cols = (slice(run.start * scale, run.stop * scale) for run in (rows, cols))
    whole, detail = product.picture(result.path, hsi.bands, _WHOLE, (fine_rows, fine_cols))
    views = [
        View("LRHSI", _size(lr.shape), _thin(lr, hsi.bands), lr.load(rows, cols)[list(hsi.bands)]),
        View("HRMSI", _size(hr.shape), _thin(hr, msi.bands), hr.load(fine_rows, fine_cols)[list(msi.bands)]),
        View(setup.method.name, _size(layout.shape), whole, detail),
    ]
    label = f"False colour {hsi.label}   ·   HRMSI {msi.label}"
    (top, bottom), (left, right) = ((run.start, run.stop - 1) for run in (fine_rows, fine_cols))
    part = f"rows {top} to {bottom}, columns {left} to {right}"
    return quicklook(views, result.path.name, label, part)


def _middle(size: int, scale: int) -> slice:
    """Return the LR pixels of the detail along one axis."""
    side = max(1, min(size // 3, _DETAIL // scale))
    return slice((size - side) // 2, (size - side) // 2 + side)


def _thin(image: Image, bands: tuple[int, int, int]) -> Array:
    """Read three bands of every n-th row and column."""
    step = max(1, math.ceil(max(image.shape[1:]) / _WHOLE))
    return np.concatenate([strip[list(bands), ::step, ::step] for _, strip in image.strips(step)], 1)


def _size(shape: tuple[int, int, int]) -> str:
    bands, rows, cols = shape
    return f"{rows} x {cols}, {bands} bands"


def _lines(result: Result, picture: Path, measured: Measured | None) -> list[str]:
    setup = result.setup
    lines = [f"# {result.path.name}", "", f"![Quick look]({picture.name})", ""]
    lines += ["## What it is", "", *_table(_product_facts(result)), ""]
    lines += ["## What it was made of", "", *_input_table(result), ""]
    for note in setup.pair.notes:
        lines += [f"Note: {note}.", ""]
    lines += ["## How good it is", "", *_quality(measured), ""]
    lines += ["## What it cost", "", *_table(_cost(result)), ""]
    return lines


def _product_facts(result: Result) -> dict[str, str]:
    layout, method = result.layout, result.setup.method
    place = layout.georeference
    trained = method.provenance
    scaled = "" if layout.dtype == "float32" else " once the file's scale and offset are applied"
    facts = {
        "size": f"{_size(layout.shape)}, {layout.dtype}",
        "values": f"0 to {layout.highest:g}, in units of the LRHSI{scaled}; no data is {layout.nodata:g}",
        "place": place and f"{(place.crs or 'no CRS')[:60]}, transform {place.transform}",
        "method": method.name,
        "weights": method.sha256 and f"SHA-256 {method.sha256}",
        "trained on": trained.dataset and f"{trained.dataset}, {trained.steps} steps",
        "scale, phase": f"{result.setup.pair.scale}, {method.phase:g}",
        "made by": f"cofusion {version('cofusion')}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "command": result.command and f"`{result.command}`",
    }
    return {name: value for name, value in facts.items() if value}


def _input_table(result: Result) -> list[str]:
    setup = result.setup
    lines = ["| | file | used | values | divided by | clipped | no data |", "| --- " * 7 + "|"]
    images: list[tuple[str, Image, Range]] = [
        ("LRHSI", setup.pair.lr_hsi, setup.hsi_range),
        ("HRMSI", setup.pair.hr_msi, setup.msi_range),
    ]
    for what, image, seen in images:
        lines.append(
            f"| {what} | {image.name} | {_size(image.shape)} | {seen.low:g} to {seen.high:g} | "
            f"{seen.scaling:g} | {seen.clipped:.3%} | {seen.missing:.2%} |"
        )
    return lines


def _quality(measured: Measured | None) -> list[str]:
    if measured is None:
        return ["Not measured: the sensors' blur and response are not known."]
    errors, found = measured
    lines = [
        f"Without a reference, in its middle (up to {found['side']:.0f} pixels a side): D_lambda",
        f"{found['d_lambda']:.4f}, D_s {found['d_s']:.4f}, QNR {found['qnr']:.4f} (1 is best).",
        "",
        "The product was blurred and decimated like the LRHSI, and seen through the HRMSI's response, by the",
        "sensors that are known. Differences from the two images, which lie in [0, 1]:",
        "",
        "| | RMSE | SAM | worst band | its RMSE |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for what, error in zip(("LRHSI", "HRMSI"), errors, strict=True):
        band, value = error.worst
        lines.append(f"| {what} | {error.rmse:.5f} | {error.sam:.3f}° | {band + 1} | {value:.5f} |")
    return lines


def _cost(result: Result) -> dict[str, str]:
    tiling, (done, strips) = result.setup.job.tiling, result.strips
    size = f"{tiling.height} x {tiling.width}"
    _, rows, cols = result.layout.shape
    seconds = max(result.seconds, 1e-9)
    share, pixels = result.network_seconds / seconds, rows * cols * done / strips
    before = "" if done == strips else f"; {strips - done} of {strips} strips had been done before"
    return {
        "tiles": f"{result.tiles} of {size}, margin {tiling.margin}, seam {tiling.overlap}",
        "time": f"{seconds:.1f} s, {share:.0%} in the method{before}",
        "rate": f"{pixels / seconds / 1e3:.1f} thousand pixels a second, on {result.setup.job.device}",
        "memory": f"{readable(result.peak_memory)} at most",
    }


def _table(facts: dict[str, str]) -> list[str]:
    return ["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in facts.items())]
