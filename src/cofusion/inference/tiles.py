"""How a large image is cut: strips of rows, tiles along them, margins to discard, seams to blend.

Tile `k` along an axis keeps `start ... stop + overlap`: the first `overlap` pixels are shared with the tile
before, and the two are blended there. Around what is kept, a margin is computed and discarded, for a
network's answer changes near the border of what it sees. At the image's own border there is none, and the
tile sees more on its other side instead: all tiles have one size, so that the memory of one serves the next.
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
        ramp = (np.arange(overlap, dtype=np.float32) + 0.5) / max(overlap, 1)
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
        height: Distance from strip to strip.
        width: Distance from tile to tile within a strip.
        overlap: Width of the blended seams.
        margin: Width of what is discarded, at least.
        unit: Tiles begin at multiples of this.
    """

    rows: int
    cols: int
    height: int
    width: int
    overlap: int
    margin: int
    unit: int

    def down(self) -> list[Span]:
        """Return the strips, from top to bottom."""
        return self._spans(self.rows, self.height)

    def across(self) -> list[Span]:
        """Return the tiles of each strip, from left to right."""
        return self._spans(self.cols, self.width)

    def _spans(self, size: int, step: int) -> list[Span]:
        seen = step + self.overlap + 2 * self.margin
        latest = max(0, size - seen) // self.unit * self.unit
        spans = []
        for start in range(0, size, step):
            stop = min(start + step, size)
            kept = min(stop + self.overlap, size)
            first = min(max(0, start - self.margin), latest)
            last = size if first == latest else first + seen
            spans.append(Span(start, stop, kept, first, last))
        return spans


def plan(rows: int, cols: int, scale: int, step: int, tile: int, overlap: int, margin: int) -> Tiling:
    """Cut an image such that every tile begins where the LRHSI's grid and the network's own allow it.

    Args:
        rows: Of the image, a multiple of the scale.
        cols: Of the image, a multiple of the scale.
        scale: Ratio of the two resolutions.
        step: Tiles begin at multiples of this, as the network wants it.
        tile: Wanted side of the tiles in pixels, overlap and margin not counted; the image is divided evenly
            into tiles of about this side.
        overlap: Wanted width of the seams; rounded up.
        margin: Wanted width of the margins; rounded up.
    """
    unit = math.lcm(scale, step)
    # GeoTIFF's blocks have sides that are multiples of 16; each strip fills blocks of its own.
    height, width = _side(rows, tile, math.lcm(unit, 16)), _side(cols, tile, unit)
    return Tiling(rows, cols, height, width, min(_up(overlap, unit), height, width), _up(margin, unit), unit)


def _side(size: int, tile: int, unit: int) -> int:
    """Return the side of the fewest tiles that cover a size, none larger than wanted but for rounding."""
    count = -(-size // _up(tile, unit))
    return _up(-(-size // count), unit)


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
