"""Simulated image pairs, whole scenes and the samples cut from them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cofusion.data.sampling import Draw, draw
from cofusion.data.splits import Window
from cofusion.scenes import Scene
from cofusion.scenes.kept import kept
from cofusion.scenes.mapped import MappedArray, digest
from cofusion.sensors import Sensors
from cofusion.sensors.noise import noisy

# (flip_rows, flip_cols, transpose) in the order of `Pair.lr_hsi`.
_Turn = tuple[bool, bool, bool]
_TURNS: tuple[_Turn, ...] = tuple(
    (rows, cols, swap) for swap in (False, True) for cols in (False, True) for rows in (False, True)
)


class Batch(TypedDict):
    """What every loader yields and every network is trained on; float32 in [0, 1] (but for simulated noise).

    `name` holds, per sample, the scene (validation, test) or the scene and the full-resolution window of the
    crop (training).
    """

    lr_hsi: Tensor  # (B, C, h, w)
    hr_msi: Tensor  # (B, c, H, W)
    hr_hsi: Tensor  # (B, C, H, W)
    name: list[str]


@dataclass(frozen=True, eq=False)
class Pair:
    """A scene and what the two sensors see of it.

    Attributes:
        name: Name of the scene.
        hr_hsi: `(C, rows, cols)`, the scene itself; rows and columns beyond the last whole block go unused.
        hr_msi: `(c, H, W)`.
        lr_hsi: `(C, h, w)` for each orientation of the scene (each turned back, see `Sensors.lr_hsi`), at
            index `flip_rows + 2 * flip_cols + 4 * transpose`; orientations that see the same share one.
        mapped: The files behind these images, where the scene is mapped; empty where all is in memory.
    """

    name: str
    hr_hsi: Tensor
    hr_msi: Tensor
    lr_hsi: tuple[Tensor, ...]
    mapped: tuple[MappedArray, ...] = ()

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
        if scene.mapped is None:
            hr_msi, *lr_hsi = images = [torch.empty(shape) for shape in _shapes(scene, sensors, turns)]
            _degrade(scene, sensors, turns, images)
            return cls(scene.name, scene.cube, hr_msi, tuple(lr_hsi[i] for i in numbers))
        files = _kept_images(scene.mapped.path.parent, scene, sensors, turns)
        hr_msi, *lr_hsi = (file.tensor for file in files)
        seen = tuple(lr_hsi[i] for i in numbers)
        return cls(scene.name, scene.cube, hr_msi, seen, (scene.mapped, *files))

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


class TrainingCrops(Dataset[Batch]):
    """Random crops, flips and quarter turns, each a function of the seed and its number alone.

    A turned crop is what the sensors would have seen of the turned scene: the low-resolution samples sit at
    the same phase in every crop, as they do in the test images.

    The cubes are in memory once: workers are forked and only read them, and a batch is filled from them with
    one copy.

    Args:
        pairs: The simulated scenes.
        corners: For each pair `(N, 2)` allowed corners in low-resolution pixels, see `allowed_corners`.
        patch: Rows and columns of a crop in full-resolution pixels.
        scale: Integer resolution ratio.
        length: Crops in an epoch.
        seed: Seed of the draws.
        augment: Whether to flip and turn.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        corners: Sequence[Tensor],
        patch: int,
        scale: int,
        length: int,
        seed: int,
        augment: bool,
    ) -> None:
        self.pairs = list(pairs)
        self.corners = torch.cat(list(corners))
        self.ends = np.cumsum([len(own) for own in corners])
        self.patch = patch
        self.scale = scale
        self.length = length
        self.seed = seed
        self.augment = augment

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> Batch:
        return self.__getitems__([number])

    def __getitems__(self, numbers: Sequence[int]) -> Batch:
        """Return a batch of the crops that belong to these numbers (`epoch * length + i`)."""
        size, s = self.patch, self.scale
        hsi, msi = self.pairs[0].hr_hsi.shape[0], self.pairs[0].hr_msi.shape[0]
        batch = Batch(
            lr_hsi=torch.empty(len(numbers), hsi, size // s, size // s),
            hr_msi=torch.empty(len(numbers), msi, size, size),
            hr_hsi=torch.empty(len(numbers), hsi, size, size),
            name=[],
        )
        for i, number in enumerate(numbers):
            one = draw(self.seed, number, len(self.corners), self.augment)
            pair = self.pairs[int(np.searchsorted(self.ends, one.corner, side="right"))]
            row, col = self.corners[one.corner].tolist()
            lr_hsi = pair.lr_hsi[one.flip_rows + 2 * one.flip_cols + 4 * one.transpose]
            _paste(lr_hsi, row, col, one, batch["lr_hsi"][i])
            _paste(pair.hr_msi, row * s, col * s, one, batch["hr_msi"][i])
            _paste(pair.hr_hsi, row * s, col * s, one, batch["hr_hsi"][i])
            window = Window((row * s, row * s + size), (col * s, col * s + size))
            batch["name"].append(f"{pair.name}{window}")
            pair.release()
        return batch


class WholeRegions(Dataset[Batch]):
    """Validation or test regions, one per batch.

    Args:
        regions: A name, the simulated scene and a window on the low-resolution grid for each.
        scale: Integer resolution ratio.
    """

    def __init__(self, regions: Sequence[tuple[str, Pair, Window]], scale: int) -> None:
        self.regions = list(regions)
        self.scale = scale

    def __len__(self) -> int:
        return len(self.regions)

    def __getitem__(self, index: int) -> Batch:
        name, pair, window = self.regions[index]
        (top, bottom), (left, right) = window.rows, window.cols
        s = self.scale
        lr_hsi = pair.lr_hsi[0][None, :, top // s : bottom // s, left // s : right // s]
        hr_msi = pair.hr_msi[None, :, top:bottom, left:right]
        hr_hsi = pair.hr_hsi[None, :, top:bottom, left:right]
        lr_hsi, hr_msi, hr_hsi = (image.contiguous() for image in (lr_hsi, hr_msi, hr_hsi))
        pair.release()
        return Batch(lr_hsi=lr_hsi, hr_msi=hr_msi, hr_hsi=hr_hsi, name=[name])


def _paste(image: Tensor, row: int, col: int, one: Draw, target: Tensor) -> None:
    """Fill `(bands, size, size)` with a turned window of `(bands, rows, cols)`."""
    size = target.shape[-1]
    # numpy flips and transposes without copying, torch only transposes.
    window = image.numpy()[:, row : row + size, col : col + size]
    if one.flip_rows:
        window = window[:, ::-1]
    if one.flip_cols:
        window = window[:, :, ::-1]
    if one.transpose:
        window = window.swapaxes(1, 2)
    np.copyto(target.numpy(), window)
