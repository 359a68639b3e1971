"""Where on Earth a scene lies."""

from dataclasses import dataclass


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
