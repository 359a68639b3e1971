"""A scene's pictures and spectra as text that lies inside a page."""

import base64
import io
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cofusion.reports.figures.comparison import STEPS, ZERO, Comparison, View
from cofusion.reports.figures.method_lines import Lines

Array = npt.NDArray[Any]

# Characters of a page, all scenes together; with tables and figures it stays below 15 MB.
PICTURES_BUDGET = 7_500_000
SAMPLES_BUDGET = 5_000_000
_BASE64 = 4 / 3
_PACKED = 0.6  # of the bytes of natural spectra, after `pack`
_LONGEST = 768  # pixels along a side of a picture
_QUALITIES = (90, 75, 55)


def sample_step(shapes: Sequence[tuple[int, int, int]], budget: int = SAMPLES_BUDGET) -> int:
    """Choose how far apart samples are, so that those of all cubes fit.

    Args:
        shapes: `(bands, rows, cols)` of every cube on the page.
        budget: Characters.
    """
    step = 1
    while sum(_characters(shape, step) for shape in shapes) > budget:
        step += 1
    return step


def _characters(shape: tuple[int, int, int], step: int) -> float:
    bands, rows, cols = shape
    return bands * -(-rows // step) * -(-cols // step) * 2 * _PACKED * _BASE64


def page_scene(comparison: Comparison, group: str, pictures: int, lines: Lines) -> dict[str, Any]:
    """Make what the page's script needs to show a scene: plain values, ready for JSON.

    Args:
        comparison: The scene.
        group: Data set and scale, above the scene's name.
        pictures: How many pictures and maps the whole page holds.
        lines: By method, see `method_lines`.
    """
    room = PICTURES_BUDGET // max(pictures, 1)
    bands, rows, cols = comparison.measured.samples.shape
    x = comparison.wavelengths
    cubes = [comparison.measured, *comparison.views]
    # Without a reference the LRHSI is shown in its place.
    coarse = [("LRHSI", comparison.coarse)] if comparison.has_reference else []
    return {
        "name": comparison.scene,
        "group": group,
        "size": list(comparison.size),
        "step": comparison.step,
        "grid": [bands, rows, cols],
        "steps": STEPS,
        "zero": ZERO,
        "x": (np.arange(1, bands + 1) if x is None else np.round(x, 2)).tolist(),
        "axis": "band" if x is None else "wavelength (nm)",
        "colours": comparison.bands.label,
        "reference": comparison.has_reference,
        "top": comparison.top,
        "pixels": [list(pixel) for pixel in comparison.pixels],
        "inputs": [
            {"name": name, "picture": picture_uri(picture, room)}
            for name, picture in (*coarse, ("HRMSI", comparison.guide))
        ],
        "cubes": [_cube(view, comparison.top, lines.get(view.name, {}), room) for view in cubes],
    }


def _cube(view: View, top: float, line: Mapping[str, Any], room: int) -> dict[str, Any]:
    return {
        "name": view.name,
        "picture": picture_uri(view.picture, room),
        "map": None if view.angles is None else picture_uri(_map(view.angles, top), room),
        "samples": pack(view.samples),
        "scores": {key: value for key, value in view.scores.items() if np.isfinite(value)},
        "colour": line.get("color"),
        "dashes": list(line.get("dashes", ())),
    }


def _map(angles: Array, top: float) -> Array:
    from matplotlib import colormaps

    colours = colormaps["magma"].with_extremes(bad="#999999")(np.ma.masked_invalid(angles / top), bytes=True)
    return np.asarray(colours)[..., :3]


def picture_uri(picture: Array, room: int) -> str:
    """Return a picture `(rows, cols, 3)` uint8 as a data URI: WebP, as fine as `room` characters allow."""
    thin = -(-max(picture.shape[:2]) // _LONGEST)
    while True:
        shown = np.ascontiguousarray(picture[::thin, ::thin])
        for quality in _QUALITIES:
            text = _webp(shown, quality)
            if len(text) <= room:
                return text
        if min(shown.shape[:2]) < 64:
            return text
        thin += 1


def _webp(picture: Array, quality: int) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", quality=quality)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def pack(samples: Array) -> str:
    """Compress samples `(bands, rows, cols)` uint16 without loss, as base64 of zlib.

    Neighbouring bands are alike, so each is written as its difference to the one before it (modulo 2^16), all
    low bytes first and then all high ones.
    """
    steps = np.diff(samples.astype("<u2"), axis=0, prepend=np.zeros_like(samples[:1], dtype="<u2"))
    planes = steps.astype("<u2").reshape(-1, 1).view(np.uint8).T
    return base64.b64encode(zlib.compress(np.ascontiguousarray(planes).tobytes(), 9)).decode()
