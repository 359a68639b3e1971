"""Whether a product, degraded again, gives back the two images that it was made of."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from cofusion.inference import product
from cofusion.inference.images import Array, Image
from cofusion.inference.layout import Layout
from cofusion.inference.setup import Setup
from cofusion.inference.tiles import Span
from cofusion.models import Provenance
from cofusion.scenes.formats.contents import ALL
from cofusion.sensors import Border, Sensors, SpectralResponse


@dataclass(eq=False)
class Difference:
    """How far one image is from what the product says it should be; both in [0, 1].

    Attributes:
        squares: `(bands,)` sum of the squared differences of each band.
        pixels: How many pixels were compared.
        angles: Sum of the spectral angles in radians.
    """

    squares: Array = field(default_factory=lambda: np.zeros(1, np.float32))
    pixels: int = 0
    angles: float = 0.0

    @property
    def rmse(self) -> float:
        """Root-mean-square difference over all bands."""
        return float(np.sqrt(self.squares.mean() / self.pixels)) if self.pixels else math.nan

    @property
    def worst(self) -> tuple[int, float]:
        """The band, counted from 0, with the largest root-mean-square difference, and that."""
        band = int(self.squares.argmax())
        return band, math.sqrt(self.squares[band] / self.pixels) if self.pixels else math.nan

    @property
    def sam(self) -> float:
        """Mean spectral angle in degrees."""
        return math.degrees(self.angles / self.pixels) if self.pixels else math.nan

    def add(self, seen: Tensor, given: Tensor) -> None:
        """Compare `(bands, n)` pixels."""
        one, other = seen.double(), given.double()
        self.squares = self.squares + (one - other).square().sum(1).numpy()
        lengths = one.norm(dim=0) * other.norm(dim=0)
        cosines = ((one * other).sum(0) / lengths.clamp_min(1e-12)).clamp(-1, 1)
        self.angles += float(cosines.arccos().sum())
        self.pixels += seen.shape[1]


def sensors_of(provenance: Provenance) -> Sensors | None:
    """Return the sensors that weights were trained for, or None where the provenance does not name them."""
    p = provenance
    if p.psf is None or p.scale is None or p.phase is None or p.border is None or p.response_weights is None:
        return None
    weights = torch.tensor(p.response_weights, dtype=torch.float64)
    names = p.response_names or tuple(f"band {band + 1}" for band in range(len(weights)))
    response = SpectralResponse(weights, tuple(names), p.response or "the weights' provenance")
    psf = torch.tensor(p.psf, dtype=torch.float64)
    return Sensors(psf, p.scale, p.phase, cast(Border, p.border), response)


def compare(path: Path, setup: Setup, layout: Layout, sensors: Sensors) -> tuple[Difference, Difference]:
    """Degrade a product and compare it with the LRHSI and the HRMSI that it was made of.

    The product is read strip by strip. Pixels whose neighbourhood is without data are left out.

    Args:
        path: The product.
        setup: What it was fused from.
        layout: How it is stored.
        sensors: How the two images come from the scene.

    Returns:
        The differences from the LRHSI and from the HRMSI.
    """
    hsi, msi = Difference(), Difference()
    scale = setup.pair.scale
    # The blur reaches so many LR rows beyond a strip.
    reach = math.ceil(sensors.psf.shape[0] / scale) + 1
    for span, cube in _strips(path, setup, layout, reach * scale):
        hole = cube[0].isnan()
        cube = cube.nan_to_num_(0)
        own = slice(span.start - span.first, span.stop - span.first)
        seen = sensors.hr_msi(cube[:, own])
        given = _scaled(setup.pair.hr_msi, slice(span.start, span.stop), setup.msi_range.scaling)
        valid = ~(hole[own] | given[0].isnan())
        msi.add(seen[:, valid], given[:, valid])

        lr_own = slice((span.start - span.first) // scale, (span.stop - span.first) // scale)
        seen = sensors.lr_hsi(cube)[:, lr_own]
        touched = sensors.lr_hsi(hole[None].float())[0, lr_own] > 0
        rows = slice(span.start // scale, span.stop // scale)
        given = _scaled(setup.pair.lr_hsi, rows, setup.hsi_range.scaling)
        valid = ~(touched | given[0].isnan())
        hsi.add(seen[:, valid], given[:, valid])
    return hsi, msi


def _strips(path: Path, setup: Setup, layout: Layout, halo: int) -> Iterator[tuple[Span, Tensor]]:
    """Yield strips of the product with rows around them, in [0, 1]."""
    rows = layout.shape[1]
    for strip in setup.job.tiling.down():
        first, last = max(0, strip.start - halo), min(rows, strip.stop + halo)
        span = Span(strip.start, strip.stop, strip.stop, first, last)
        yield span, torch.from_numpy(layout.fused(product.read(path, first, last - first)))


def _scaled(image: Image, rows: slice, scaling: float) -> Tensor:
    return torch.from_numpy(image.load(rows, ALL) / np.float32(scaling)).clamp(0, 1)
