"""What the loaders yield: random training crops, and whole validation and test regions."""

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cofusion.data.pairs import Pair
from cofusion.data.sampling import Draw, draw
from cofusion.data.splits import Window


class Batch(TypedDict):
    """What every loader yields and every network is trained on; float32 in [0, 1] (but for simulated noise).

    `name` holds, per sample, the scene (validation, test) or the scene and the full-resolution window of the
    crop (training). A real pair is tested without a reference, `hr_hsi`, and where one of its images has no
    data, `nodata` says so. Training on one adds crops of the pair itself, `full_lr_hsi` and `full_hr_msi`,
    for the consistency of what the network makes of them. `place` holds the fields of each `Georeference`, as
    plain values: Lightning takes apart what it moves to a device.
    """

    lr_hsi: Tensor  # (B, C, h, w)
    hr_msi: Tensor  # (B, c, H, W)
    hr_hsi: NotRequired[Tensor]  # (B, C, H, W)
    name: list[str]
    nodata: NotRequired[Tensor]  # (B, H, W) bool
    place: NotRequired[list[tuple[Any, ...]]]
    full_lr_hsi: NotRequired[Tensor]  # (B, C, h, w)
    full_hr_msi: NotRequired[Tensor]  # (B, c, H, W)


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
        pairs = [self._choose(number) for number in numbers]
        hsi, msi = pairs[0][0].lr_hsi[0].shape[0], pairs[0][0].hr_msi.shape[0]
        batch = Batch(
            lr_hsi=torch.empty(len(numbers), hsi, size // s, size // s),
            hr_msi=torch.empty(len(numbers), msi, size, size),
            name=[],
        )
        if all(pair.hr_hsi is not None for pair in self.pairs):
            batch["hr_hsi"] = torch.empty(len(numbers), hsi, size, size)
        for i, (pair, row, col, one) in enumerate(pairs):
            lr_hsi = pair.lr_hsi[one.flip_rows + 2 * one.flip_cols + 4 * one.transpose]
            _paste(lr_hsi, row, col, one, batch["lr_hsi"][i])
            _paste(pair.hr_msi, row * s, col * s, one, batch["hr_msi"][i])
            if pair.hr_hsi is not None:
                _paste(pair.hr_hsi, row * s, col * s, one, batch["hr_hsi"][i])
            window = Window((row * s, row * s + size), (col * s, col * s + size))
            batch["name"].append(f"{pair.name}{window}")
            pair.release()
        return batch

    def _choose(self, number: int) -> tuple[Pair, int, int, Draw]:
        """Return a crop's pair, its corner in low-resolution pixels, and how it is turned."""
        one = draw(self.seed, number, len(self.corners), self.augment)
        row, col = self.corners[one.corner].tolist()
        return self.pairs[int(np.searchsorted(self.ends, one.corner, side="right"))], row, col, one


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
        batch = Batch(
            lr_hsi=pair.lr_hsi[0][None, :, top // s : bottom // s, left // s : right // s].contiguous(),
            hr_msi=pair.hr_msi[None, :, top:bottom, left:right].contiguous(),
            name=[name],
        )
        if pair.hr_hsi is not None:
            batch["hr_hsi"] = pair.hr_hsi[None, :, top:bottom, left:right].contiguous()
        if pair.nodata is not None:
            batch["nodata"] = pair.nodata[None, top:bottom, left:right]
        if pair.georeference is not None:
            batch["place"] = [astuple(pair.georeference.window(top, left))]
        pair.release()
        return batch


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
