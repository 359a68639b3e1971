"""Where on Earth a scene lies."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Georeference:
    """Coordinate reference system and affine map from pixels to its coordinates.

    Attributes:
        crs: The system as an authority's code (`EPSG:32633`) or as WKT; None where the file has a transform
            alone.
        transform: `(a, b, c, d, e, f)`: the upper left corner of the pixel in column `x` and row `y` lies at
            `(a x + b y + c, d x + e y + f)`. The order of the package affine.
    """

    crs: str | None
    transform: tuple[float, float, float, float, float, float]

    def profile(self) -> dict[str, Any]:
        """Return what rasterio is told of a file's place: `crs` and `transform`."""
        from rasterio import Affine

        return {"crs": self.crs, "transform": Affine(*self.transform)}

    def window(self, top: float, left: float, finer: float = 1) -> "Georeference":
        """Return the place of an image that begins in row `top`, column `left` of this one.

        Args:
            top: Row of its upper left corner, counted in pixels of this image; may be fractional.
            left: The same for columns.
            finer: How many of its pixels make up one of this image along each axis.
        """
        a, b, c, d, e, f = self.transform
        corner = a * left + b * top + c, d * left + e * top + f
        return Georeference(self.crs, (a / finer, b / finer, corner[0], d / finer, e / finer, corner[1]))
