"""How a product is stored: its values, their units, its place."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from cofusion.inference.images import Array
from cofusion.scenes import Georeference
from cofusion.scenes.formats import Raw

Dtype = Literal["float32", "uint16"]
Compression = Literal["deflate", "lzw", "zstd", "none"]

# uint16 keeps its largest value for pixels without data.
_UINT16_NODATA, _UINT16_MOST = 65535, 65534


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a product is stored.

    Attributes:
        shape: `(bands, rows, cols)`.
        block: Rows and columns of GeoTIFF's blocks, a multiple of 16; strips begin at multiples of it.
        highest: The value that a fused 1.0 stands for: what the LRHSI was divided by.
        units: Scale and offset from the LRHSI's stored values to physical ones.
        dtype: `float32` stores values in the LRHSI's units, NaN without data; `uint16` whole numbers, which
            the band's scale and offset turn into the same, 65535 without data.
        compress: How GeoTIFF's blocks are packed.
        georeference: Or None.
        wavelengths: `(bands,)` in nm, or None.
        tags: For the file's metadata.
    """

    shape: tuple[int, int, int]
    block: int
    highest: float
    units: tuple[float, float] = (1.0, 0.0)
    dtype: Dtype = "float32"
    compress: Compression = "deflate"
    georeference: Georeference | None = None
    wavelengths: tuple[float, ...] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def nodata(self) -> float:
        """The value that stands for missing data in the file."""
        return math.nan if self.dtype == "float32" else float(_UINT16_NODATA)

    @property
    def scale_offset(self) -> tuple[float, float]:
        """Scale and offset from values in the file to physical ones."""
        scale, offset = self.units
        if self.dtype == "float32":
            return scale, offset
        return scale * self.highest / _UINT16_MOST, offset

    def stored(self, fused: Array) -> Raw:
        """Return fused values in [0, 1], NaN without data, as they are stored; may change them in place."""
        if self.dtype == "float32":
            fused *= np.float32(self.highest)
            return fused
        missing = np.isnan(fused[0])
        fused *= _UINT16_MOST
        fused += 0.5
        fused[:, missing] = _UINT16_NODATA
        return fused.astype(np.uint16)

    def fused(self, stored: Raw) -> Array:
        """Return stored values as fused ones in [0, 1]: what `stored` undoes."""
        values: Array = stored.astype(np.float32)
        if self.dtype == "uint16":
            values[values == _UINT16_NODATA] = np.nan
        values /= np.float32(self.highest if self.dtype == "float32" else _UINT16_MOST)
        return values

    def bytes_of(self, rows: int) -> int:
        """Return how many bytes so many rows take without compression."""
        return self.shape[0] * rows * self.shape[2] * np.dtype(self.dtype).itemsize
