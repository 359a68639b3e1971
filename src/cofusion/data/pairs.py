"""What two sensors see of a whole scene, simulated or real."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cofusion.scenes import Georeference, Scene
from cofusion.scenes.kept import kept
from cofusion.scenes.mapped import MappedArray, digest
from cofusion.sensors import Sensors
from cofusion.sensors.noise import noisy

# (flip_rows, flip_cols, transpose) in the order of `Pair.lr_hsi`.
_Turn = tuple[bool, bool, bool]
_TURNS: tuple[_Turn, ...] = tuple(
    (rows, cols, swap) for swap in (False, True) for cols in (False, True) for rows in (False, True)
)


@dataclass(frozen=True, eq=False)
class Pair:
    """What two sensors see of a scene, and the scene itself where it is known.

    Attributes:
        name: Name of the scene.
        hr_hsi: `(C, rows, cols)`, the scene itself; rows and columns beyond the last whole block go unused.
            None for a real pair, to which there is no reference.
        hr_msi: `(c, H, W)`.
        lr_hsi: `(C, h, w)` for each orientation of the scene (each turned back, see `Sensors.lr_hsi`), at
            index `flip_rows + 2 * flip_cols + 4 * transpose`; orientations that see the same share one.
        nodata: `(H, W)` bool, where one image of a real pair has no data and was filled; None where all have.
        georeference: Where `hr_msi` lies, or None.
        mapped: The files behind these images, where the scene is mapped; empty where all is in memory.
    """

    name: str
    hr_hsi: Tensor | None
    hr_msi: Tensor
    lr_hsi: tuple[Tensor, ...]
    mapped: tuple[MappedArray, ...] = ()
    nodata: Tensor | None = None
    georeference: Georeference | None = None

    @classmethod
    def simulate(cls, scene: Scene, sensors: Sensors, flips: bool) -> "Pair":
        """Degrade a whole scene.

        The noise of the low-resolution image belongs to the scene: every orientation carries the same. Of a
        mapped scene, the images are kept in files beside its copy and found there by the next start.

        Args:
            scene: The scene.
            sensors: The two sensors.
            flips: Whether turned samples will be cut; otherwise only the first of `lr_hsi` is there.

        Raises:
            UserError: The sensors do not fit the scene, or there is no room for the files.
        """
        turns, numbers = _distinct(sensors, _TURNS if flips else _TURNS[:1])
        mapped: tuple[MappedArray, ...] = ()
        if scene.mapped is None:
            images = [torch.empty(shape) for shape in _shapes(scene, sensors, turns)]
            _degrade(scene, sensors, turns, images)
        else:
            files = _kept_images(scene.mapped.path.parent, scene, sensors, turns)
            images = [file.tensor for file in files]
            mapped = (scene.mapped, *files)
        hr_msi, *lr_hsi = images
        seen = tuple(lr_hsi[i] for i in numbers)
        return cls(scene.name, scene.cube, hr_msi, seen, mapped, georeference=scene.georeference)

    @classmethod
    def reduced(cls, scene: Scene, hr_msi: Tensor, sensors: Sensors, flips: bool) -> "Pair":
        """Degrade both images of a real pair, so that the hyperspectral one becomes the reference.

        Args:
            scene: The LRHSI.
            hr_msi: `(c, H, W)`, the HRMSI, `scale` times as fine.
            sensors: The two sensors.
            flips: As for `simulate`.

        Raises:
            UserError: The LRHSI is smaller than one block.
        """
        turns, numbers = _distinct(sensors, _TURNS if flips else _TURNS[:1])
        lr_hsi = [sensors.lr_hsi(scene.cube, *turn) for turn in turns]
        degraded = sensors.crop(sensors.lr_hsi(hr_msi))
        seen = tuple(lr_hsi[i] for i in numbers)
        return cls(scene.name, scene.cube, degraded, seen, georeference=scene.georeference)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the scene."""
        rows, cols = (self.hr_msi if self.hr_hsi is None else self.hr_hsi).shape[-2:]
        return rows, cols

    def release(self) -> None:
        """Give up the memory that reading mapped images took."""
        for array in self.mapped:
            array.release()


def _distinct(sensors: Sensors, turns: Sequence[_Turn]) -> tuple[list[_Turn], list[int]]:
    """Return the orientations that see different images, and for each orientation the number of its image."""
    distinct: list[_Turn] = []
    numbers = []
    for turn in turns:
        psf, start = sensors.turned(*turn)
        seen = [sensors.turned(*one) for one in distinct]
        same = [i for i, (one, at) in enumerate(seen) if at == start and torch.equal(one, psf)]
        numbers.append(same[0] if same else len(distinct))
        if not same:
            distinct.append(turn)
    return distinct, numbers


def _shapes(scene: Scene, sensors: Sensors, turns: Sequence[_Turn]) -> list[tuple[int, ...]]:
    """Return the shapes of `hr_msi` and of the `lr_hsi` of each orientation."""
    (rows, cols), scale = sensors.crop(scene.cube).shape[-2:], sensors.scale
    low = (len(scene.cube), rows // scale, cols // scale)
    return [(sensors.response.msi_bands, rows, cols), *(low for _ in turns)]


def _degrade(
    scene: Scene,
    sensors: Sensors,
    turns: Sequence[_Turn],
    images: Sequence[Tensor],
    release: Callable[[], None] = lambda: None,
) -> None:
    """Fill `hr_msi` and the `lr_hsi` of these orientations, run by run; call `release` after each run."""
    hr_msi, *lr_hsi = images
    hr_msi.zero_()
    draw = sensors.noise.of_hsi(scene.name)
    for bands, cube in scene.runs():
        upright = sensors.lr_hsi(cube)
        noise = draw(upright)
        for image, turn in zip(lr_hsi, turns, strict=True):
            image[bands] = noisy(sensors.lr_hsi(cube, *turn) if any(turn) else upright, noise)
        hr_msi += sensors.hr_msi(cube, bands)
        release()
    noise = sensors.noise.of_msi(scene.name)(hr_msi)
    if noise is not None:
        hr_msi += noise


def _kept_images(folder: Path, scene: Scene, sensors: Sensors, turns: Sequence[_Turn]) -> list[MappedArray]:
    """Map `hr_msi` and the `lr_hsi` of a mapped scene; their files are made where they are not there."""
    names = ["hr_msi.npy", *(f"lr_hsi_{i}.npy" for i in range(len(turns)))]
    identity = {"scene": scene.name, "sensors": sensors.identity(), "turns": [list(turn) for turn in turns]}

    def make(part: Path) -> dict[str, Any]:
        shapes = _shapes(scene, sensors, turns)
        files = [MappedArray.create(part / name, shape) for name, shape in zip(names, shapes, strict=True)]

        def release() -> None:
            for file in files:
                file.release()

        _degrade(scene, sensors, turns, [file.tensor for file in files], release)
        return {}

    images = folder / digest(identity)
    kept(images, identity, make)
    return [MappedArray.open(images / name) for name in names]
