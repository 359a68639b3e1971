"""Where training crops may lie, and in which order they are drawn."""

from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from cofusion.data.splits import Window

# The eight flips and quarter turns of a square.
ORIENTATIONS = 8


def allowed_corners(
    region: Window, held_out: Sequence[Window], patch: int, scale: int, support: int
) -> Tensor:
    """List where a training crop may begin.

    Guarantee: no full-resolution pixel of the scene contributes both to a crop that begins at a returned
    corner and to one of the held-out windows. A window's own pixels contribute to its `hr_hsi` and `hr_msi`;
    those and the pixels up to `support` around them contribute, through the blur, to its `lr_hsi`. So the two
    are kept apart by at least `2 * support` pixels. All corners for which this holds are returned.

    Args:
        region: Where crops are cut from.
        held_out: Validation and test windows of the same scene.
        patch: Rows and columns of a crop in full-resolution pixels, a multiple of `scale`.
        scale: Integer resolution ratio.
        support: Reach of the blur beyond a window, see `cofusion.sensors.Sensors.support`.

    Returns:
        `(N, 2)` int64 rows and columns in low-resolution pixels; times `scale` they are full-resolution ones.
    """
    rows, cols = (
        torch.tensor(range(first, last - patch + 1, scale), dtype=torch.int64)
        for first, last in (region.rows, region.cols)
    )
    allowed = torch.ones(len(rows), len(cols), dtype=torch.bool)
    gap = 2 * support
    for window in held_out:
        near_rows = (rows < window.rows[1] + gap) & (rows + patch > window.rows[0] - gap)
        near_cols = (cols < window.cols[1] + gap) & (cols + patch > window.cols[0] - gap)
        allowed &= ~(near_rows[:, None] & near_cols)
    row, col = allowed.nonzero(as_tuple=True)
    return torch.stack([rows[row], cols[col]], dim=1) // scale


def clear_of(nodata: Tensor, corners: Tensor, rows: int, cols: int, scale: int, support: int) -> Tensor:
    """Tell which crops see no pixel without data.

    Args:
        nodata: `(H, W)` bool, True where a pixel holds no data.
        corners: `(N, 2)` rows and columns in low-resolution pixels.
        rows: Rows of a crop in full-resolution pixels.
        cols: Columns of a crop.
        scale: Integer resolution ratio.
        support: Reach of the blur beyond a crop.

    Returns:
        `(N,)` bool, True where no such pixel contributes to the crop, the reach of the blur included.
    """
    counts = torch.zeros(nodata.shape[0] + 1, nodata.shape[1] + 1, dtype=torch.int64)
    counts[1:, 1:] = nodata.cumsum(0).cumsum(1)
    top, left = ((corners[:, axis] * scale - support).clamp(min=0) for axis in (0, 1))
    bottom = (corners[:, 0] * scale + rows + support).clamp(max=nodata.shape[0])
    right = (corners[:, 1] * scale + cols + support).clamp(max=nodata.shape[1])
    inside = counts[bottom, right] - counts[top, right] - counts[bottom, left] + counts[top, left]
    return inside == 0


@dataclass(frozen=True)
class Draw:
    """One random training crop: which corner and which of the eight orientations."""

    corner: int
    flip_rows: bool
    flip_cols: bool
    transpose: bool


def draw(seed: int, number: int, corners: int, augment: bool) -> Draw:
    """Draw the crop that belongs to a number, a function of the arguments alone.

    Args:
        seed: Seed of the run.
        number: `epoch * patches_per_epoch + index`.
        corners: How many corners there are to choose from, uniformly.
        augment: Whether to choose among the eight orientations, uniformly, instead of the upright one.
    """
    random = np.random.default_rng((seed, number))
    corner = int(random.integers(corners))
    turn = int(random.integers(ORIENTATIONS)) if augment else 0
    return Draw(corner, bool(turn & 1), bool(turn & 2), bool(turn & 4))


class EpochSampler(DistributedSampler[int]):
    """Hands out the numbers `epoch * length + i`, of which a data set derives its random crops.

    Nothing depends on the past: an epoch is the same whether or not the ones before it ran in this process.
    Processes take turns (`i = rank, rank + world, ...`) and get the same count. Lightning calls `set_epoch`
    and leaves a `DistributedSampler` as it is.

    Args:
        data: The data set; its length is the number of samples in an epoch.
        world: Number of processes.
        rank: This process.
    """

    def __init__(self, data: Dataset[Any], world: int = 1, rank: int = 0) -> None:
        super().__init__(data, num_replicas=world, rank=rank, shuffle=False, drop_last=True)
        self.length = len(cast(Sized, data))
        self._done = (-1, 0)

    def go_on(self, epoch: int, done: int) -> None:
        """Set an epoch of which this process has drawn the first `done` samples: they are left out, once."""
        self.set_epoch(epoch)
        self._done = (epoch, done)

    def __iter__(self) -> Iterator[int]:
        first = self.epoch * self.length
        stop = first + len(self) * self.num_replicas
        done = self._done[1] if self._done[0] == self.epoch else 0
        return iter(range(first + self.rank + done * self.num_replicas, stop, self.num_replicas))

    def __len__(self) -> int:
        return self.length // self.num_replicas


class ShardSampler(DistributedSampler[int]):
    """Every process takes its share of the samples in order; no sample is taken twice, none is left out.

    Args:
        data: The data set.
        world: Number of processes.
        rank: This process.
    """

    def __init__(self, data: Dataset[Any], world: int = 1, rank: int = 0) -> None:
        super().__init__(data, num_replicas=world, rank=rank, shuffle=False)
        self.indices = range(rank, len(cast(Sized, data)), world)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)
