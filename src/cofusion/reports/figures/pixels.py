"""Choosing the few pixels whose spectra a figure shows, and the detail that it enlarges."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def interesting_pixels(cube: npt.ArrayLike) -> list[tuple[int, int]]:
    """Choose up to three pixels: a bright one, a dark one and one on an edge.

    The bright pixel comes from the brightest fifth and the dark one from the darkest third of the pixels that
    hold a signal at all, both from even areas; the third comes from the steepest two hundredth. Among those
    that lie well apart from the pixels already chosen, the one with the most different spectrum wins. The
    choice depends on the cube alone.

    Args:
        cube: (bands, rows, cols), the reference or what stands for it.

    Returns:
        (row, col) of each pixel; fewer than three where the picture is too small or too even.
    """
    values = np.nan_to_num(np.asarray(cube, dtype=np.float32))
    brightness = values.mean(axis=0)
    lit = brightness > 0.05 * np.percentile(brightness, 98)
    if not lit.any():
        return []
    slope = _slope(brightness)
    even = slope <= np.median(slope[lit])
    inside = _inside(brightness.shape)
    candidates = [
        lit & even & (brightness >= np.percentile(brightness[lit], 80)),
        lit & even & (brightness <= np.percentile(brightness[lit], 33)),
        lit & (slope >= np.percentile(slope[inside], 99.5)),
    ]
    apart = 0.15 * float(np.hypot(*brightness.shape))
    chosen: list[tuple[int, int]] = []
    seen = [values[:, lit].mean(axis=1)]
    for mask in candidates:
        pixel = _most_different(values, mask & inside & _away(brightness.shape, chosen, apart), seen)
        if pixel is not None:
            chosen.append(pixel)
            seen = [values[:, row, col] for row, col in chosen]
    return chosen


def detail_window(cube: npt.ArrayLike, share: float = 0.14) -> tuple[int, int, int]:
    """Choose the square with the most fine detail, away from the border.

    Args:
        cube: (bands, rows, cols), the sharp image or what stands for it.
        share: Side of the square as a share of the image's shorter side; at least 8 pixels.

    Returns:
        Top row, left column and side, in pixels.
    """
    image = np.nan_to_num(np.asarray(cube, dtype=np.float64)).mean(axis=0)
    rows, cols = image.shape
    side = min(max(8, round(share * min(rows, cols))), rows, cols)
    # A highlight is steep, but fine detail is bent. The root keeps one glint from outweighing many edges.
    bends = [np.abs(np.diff(np.pad(image, 1, "edge"), 2, axis=axis)) for axis in (0, 1)]
    fine = np.sqrt(bends[0][:, 1:-1] + bends[1][1:-1]) * _inside(image.shape)
    total = np.pad(fine, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    top, left = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return int(top), int(left), side


def _slope(image: Array) -> Array:
    """Length of the brightness gradient."""
    if min(image.shape) < 2:
        return np.zeros_like(image)
    down, right = np.gradient(image)
    slope: Array = np.hypot(down, right)
    return slope


def _inside(shape: tuple[int, ...]) -> Array:
    """True away from the border, where a marker would be cut off."""
    rows, cols = shape
    margin = [max(1, round(0.06 * size)) if size > 2 else 0 for size in (rows, cols)]
    mask = np.zeros(shape, dtype=bool)
    mask[margin[0] : rows - margin[0], margin[1] : cols - margin[1]] = True
    return mask


def _away(shape: tuple[int, ...], chosen: list[tuple[int, int]], distance: float) -> Array:
    """True at least `distance` pixels from every chosen pixel."""
    mask = np.ones(shape, dtype=bool)
    rows, cols = np.indices(shape)
    for row, col in chosen:
        mask &= np.hypot(rows - row, cols - col) >= distance
    return mask


def _most_different(cube: Array, mask: Array, seen: list[Array]) -> tuple[int, int] | None:
    """The pixel under the mask whose smallest spectral angle to the seen spectra is largest."""
    where = np.argwhere(mask)
    if len(where) == 0:
        return None
    spectra = _unit(cube[:, mask].T)
    cosine = np.stack([spectra @ _unit(other) for other in seen]).max(axis=0)
    row, col = where[int(np.argmin(cosine))]
    return int(row), int(col)


def _unit(spectra: Array) -> Array:
    length = np.linalg.norm(spectra, axis=-1, keepdims=True)
    unit: Array = spectra / np.maximum(length, 1e-12)
    return unit
