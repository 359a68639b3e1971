"""How a large image is cut: strips of rows, tiles along them, margins to discard, seams to blend.

Tile `k` along an axis keeps `start ... stop + overlap`: the first `overlap` pixels are shared with the tile
before, and the two are blended there. Around what is kept, a margin is computed and discarded, for a
network's answer changes near the border of what it sees. At the image's own border there is no margin.
"""

import math
from dataclasses import dataclass

import numpy as np

from cofusion.inference.images import Array


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in pixels.

    Attributes:
        start: First pixel of its own, where the blending with the tile before begins.
        stop: First pixel of the next tile.
        kept: End of what is kept: the overlap with the next tile ends here.
        first: First pixel that is read.
        last: End of what is read.
    """

    start: int
    stop: int
    kept: int
    first: int
    last: int

    def weights(self, overlap: int) -> Array:
        """Return `(kept - start,)` weights: those of the tiles at one pixel add up to 1."""
        weights = np.ones(self.kept - self.start, np.float32)
        ramp = (np.arange(overlap, dtype=np.float32) + 0.5) / overlap if overlap else weights[:0]
        if self.start > 0:
            shared = min(overlap, len(weights))
            weights[:shared] = ramp[:shared]
        tail = self.kept - self.stop
        if tail:
            weights[self.stop - self.start :] *= 1 - ramp[:tail]
        return weights


@dataclass(frozen=True)
class Tiling:
    """The cut of an image; see `plan`.

    Attributes:
        rows: Of the image.
        cols: Of the image.
        tile: Distance from tile to tile.
        overlap: Width of the blended seams.
        margin: Width of what is discarded.
    """

    rows: int
    cols: int
    tile: int
    overlap: int
    margin: int

    def down(self) -> list[Span]:
        """Return the strips, from top to bottom."""
        return self._spans(self.rows)

    def across(self) -> list[Span]:
        """Return the tiles of each strip, from left to right."""
        return self._spans(self.cols)

    def _spans(self, size: int) -> list[Span]:
        spans = []
        for start in range(0, size, self.tile):
            stop = min(start + self.tile, size)
            kept = min(stop + self.overlap, size)
            spans.append(Span(start, stop, kept, max(0, start - self.margin), min(size, kept + self.margin)))
        return spans


def plan(rows: int, cols: int, scale: int, step: int, tile: int, overlap: int, margin: int) -> Tiling:
    """Cut an image such that every tile begins where the LRHSI's grid and the network's own allow it.

    Args:
        rows: Of the image, a multiple of the scale.
        cols: Of the image, a multiple of the scale.
        scale: Ratio of the two resolutions.
        step: Tiles begin at multiples of this, as the network wants it.
        tile: Wanted distance from tile to tile, in pixels; rounded up, also to what GeoTIFF's blocks allow.
        overlap: Wanted width of the seams; rounded up.
        margin: Wanted width of the margins; rounded up.
    """
    unit = math.lcm(scale, step)
    # GeoTIFF's blocks have sides that are multiples of 16; each strip fills blocks of its own.
    block = math.lcm(unit, 16)
    tile = _up(tile, block)
    return Tiling(rows, cols, tile, min(_up(overlap, unit), tile), _up(margin, unit))


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
