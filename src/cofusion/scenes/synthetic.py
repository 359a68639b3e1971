"""Synthetic scenes: they need no data and train in seconds."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cofusion.errors import UserError
from cofusion.scenes.base import SceneSet
from cofusion.scenes.scene import Scene

_ENDMEMBERS = 8
_FIELDS = 40


class Synthetic(SceneSet):
    """Scenes mixed from smooth spectra, with edges, texture and shading; a function of the arguments alone.

    Every pixel is a convex mixture of a few endmember spectra that all scenes share, dominated by one per
    field of a random mosaic (edges), disturbed by texture of several sizes and shaded. They show that a
    set-up works, not how good a method is.

    Args:
        root: Not used.
        bands: Number of bands, evenly from 400 to 1000 nm; at least 2.
        size: Rows and columns of each scene; at least 16.
        count: Number of scenes, named synthetic_0, synthetic_1, ...
        seed: Another seed gives other spectra and scenes.
    """

    stem = "synthetic"
    title = "Synthetic"
    scaling = 1.0
    homepage = "none"
    expected = "nothing: the scenes are computed"
    licence = "public domain"
    citation = "none"

    def __init__(
        self, root: str | Path = "data", bands: int = 31, size: int = 128, count: int = 4, seed: int = 0
    ) -> None:
        if bands < 2 or size < 16 or count < 1 or seed < 0:
            raise UserError(
                f"synthetic scenes need bands >= 2, size >= 16, count >= 1 and seed >= 0, not bands {bands}, "
                f"size {size}, count {count} and seed {seed}"
            )
        super().__init__(root)
        self.bands = bands
        self.wavelengths = torch.linspace(400, 1000, bands, dtype=torch.float64)
        self.size = size
        self.count = count
        self.seed = seed

    def names(self) -> tuple[str, ...]:
        """Return `synthetic_0` to `synthetic_<count - 1>`."""
        return tuple(f"synthetic_{i}" for i in range(self.count))

    def path(self, name: str) -> list[Path]:
        """Return no path: the scenes are computed."""
        return []

    def require(self, names: Sequence[str]) -> None:
        """Check the names; nothing else is needed.

        Raises:
            UserError: A name beyond the last scene.
        """
        self.check_names(names)

    def read(self, name: str) -> Scene:
        """Compute one scene."""
        self.require([name])
        spectra = self._spectra(_generator(self.seed, 0))
        generator = _generator(self.seed, 1 + self.names().index(name))
        shading = 0.75 + 0.25 * _texture(generator, 1, self.size, octaves=(4,))
        mixture = torch.einsum("ec,exy->cxy", spectra, self._abundances(generator))
        return self.scene(name, (mixture * shading).clamp(0, 1).numpy(), f"synthetic, seed {self.seed}")

    def _spectra(self, generator: Generator) -> Tensor:
        """Return `(endmembers, bands)` sums of a few broad bumps, between 0.05 and 0.95."""
        nm = torch.linspace(0, 1, self.bands)
        bumps = 4
        centre, width, height = torch.rand(3, _ENDMEMBERS, bumps, 1, generator=generator)
        curves = (height * torch.exp(-0.5 * ((nm - centre) / (0.06 + 0.2 * width)) ** 2)).sum(1)
        low, high = curves.amin(1, keepdim=True), curves.amax(1, keepdim=True)
        spectra: Tensor = 0.05 + 0.9 * (curves - low) / (high - low)
        return spectra

    def _abundances(self, generator: Generator) -> Tensor:
        """Return `(endmembers, size, size)` fractions with sum 1: a mosaic of fields, mixed by texture."""
        seeds = torch.rand(_FIELDS, 2, generator=generator) * self.size
        axis = torch.arange(self.size, dtype=torch.float32)
        pixels = torch.cartesian_prod(axis, axis)
        field = torch.cdist(pixels, seeds).argmin(1)
        cover = torch.randint(_ENDMEMBERS, (_FIELDS,), generator=generator)[field]
        mosaic = F.one_hot(cover, _ENDMEMBERS).T.reshape(_ENDMEMBERS, self.size, self.size)
        texture = _texture(generator, _ENDMEMBERS, self.size, octaves=(2, 4, 8, 16, self.size // 2))
        return torch.softmax(3.0 * mosaic + 1.5 * texture, dim=0)


def _generator(seed: int, stream: int) -> Generator:
    return Generator().manual_seed(1_000_003 * seed + stream)


def _texture(generator: Generator, count: int, size: int, octaves: Sequence[int]) -> Tensor:
    """Return `(count, size, size)` noise, about -1 to 1: the mean of random grids of several finenesses."""
    layers = [
        F.interpolate(
            2 * torch.rand(1, count, cells, cells, generator=generator) - 1,
            size=(size, size),
            mode="bicubic",
            align_corners=False,
        )
        for cells in octaves
    ]
    texture: Tensor = torch.cat(layers).mean(0)
    return texture
