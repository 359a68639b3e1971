"""What every data module of pairs shares: its loaders, and which crops training may see."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cofusion.data.crops import Batch, TrainingCrops, WholeRegions
from cofusion.data.pairs import Pair
from cofusion.data.sampling import EpochSampler, ShardSampler, allowed_corners, clear_of
from cofusion.data.splits import Region, Split, Window
from cofusion.errors import UserError
from cofusion.sensors import Sensors

# The parts of a split that a stage needs.
PARTS = {
    "fit": ("train", "validation"),
    "validate": ("validation",),
    "test": ("test",),
    "predict": ("test",),
}


class PairDataModule(LightningDataModule, ABC):
    """Crops to train on and whole regions to validate and test on, of pairs that two sensors took.

    A subclass fills `_pairs` (and `_nodata`) in `setup`. No pixel that contributes to a validation or test
    region contributes to a training crop, the reach of the blur included (see
    `cofusion.data.allowed_corners`).

    Crops, flips and quarter turns are a function of (seed, epoch, index) alone: the number of workers does
    not change them, and a resumed run sees what an uninterrupted one sees.

    Args:
        split: The regions.
        sensors: Both sensors.
        patch: Rows and columns of a training crop in full-resolution pixels, a multiple of the scale.
        batch_size: Crops per training batch (and process).
        patches_per_epoch: Crops per epoch, over all processes.
        augment: Whether to flip and turn the training crops.
        num_workers: Processes that cut training crops; 0 cuts them in the training process.
        seed: Seed of crops, flips and turns.

    Raises:
        UserError: A number outside its range.
    """

    def __init__(
        self,
        split: Split,
        sensors: Sensors,
        *,
        patch: int,
        batch_size: int,
        patches_per_epoch: int,
        augment: bool,
        num_workers: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.split = split
        self.sensors = sensors
        self.patch = patch
        self.batch_size = batch_size
        self.patches_per_epoch = patches_per_epoch
        self.augment = augment
        self.num_workers = num_workers
        self.seed = seed
        self._regions: Mapping[str, tuple[Region, ...]] = {
            "train": split.train,
            "validation": split.validation,
            "test": split.test,
        }
        self._pairs: dict[str, Pair] = {}
        self._nodata: dict[str, Tensor] = {}
        self._check_numbers()

    @property
    def scale(self) -> int:
        """Resolution ratio `s`."""
        return self.sensors.scale

    @property
    def phase(self) -> float:
        """Where a low-resolution sample sits in its block, in full-resolution pixels."""
        return self.sensors.phase

    @property
    @abstractmethod
    def hsi_bands(self) -> int:
        """Number of hyperspectral bands `C`."""

    @property
    def msi_bands(self) -> int:
        """Number of multispectral bands `c`."""
        return self.sensors.response.msi_bands

    @property
    @abstractmethod
    def wavelengths(self) -> Tensor | None:
        """`(C,)` band centres in nm, or None where unknown."""

    @property
    @abstractmethod
    def protocol(self) -> dict[str, Any]:
        """What the pairs depend on, for the record of a run; plain values."""

    @property
    @abstractmethod
    def origin(self) -> dict[str, Any]:
        """What else weights trained here are to be known by: fields of `cofusion.models.Provenance`.

        `scenes` is the class itself.
        """

    def train_dataloader(self) -> DataLoader[Batch]:
        """Yield batches of random crops; the last, incomplete batch of an epoch is dropped."""
        world, rank = self._processes()
        crops = self._training()
        if self.patches_per_epoch // world < self.batch_size:
            raise UserError(
                f"patches_per_epoch {self.patches_per_epoch} over {world} processes is less than one batch "
                f"of {self.batch_size}; raise it or lower batch_size"
            )
        sampler = EpochSampler(crops, world, rank)
        if self.trainer:
            # Lightning calls `set_epoch` only after the workers of a resumed run have begun to load; an epoch
            # of which the checkpoint has a part it would begin anew.
            loop = self.trainer.fit_loop
            batches = loop.epoch_loop.batch_progress.state_dict()
            done = 0 if batches["is_last_batch"] else batches["current"]["processed"] * self.batch_size
            sampler.go_on(loop.epoch_progress.state_dict()["current"]["processed"], done)
        return DataLoader(
            crops,
            batch_size=self.batch_size,
            sampler=sampler,
            drop_last=True,
            collate_fn=_as_is,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            # Forked workers share the memory of this process; spawned ones would get a copy of the cubes.
            multiprocessing_context="fork" if self.num_workers else None,
            pin_memory=torch.cuda.is_available(),
        )

    def _training(self) -> Dataset[Batch]:
        return self._crops()

    def _crops(self) -> TrainingCrops:
        return TrainingCrops(
            [self._pairs[region.scene] for region in self.split.train],
            [self._corners(region) for region in self.split.train],
            patch=self.patch,
            scale=self.scale,
            length=self.patches_per_epoch,
            seed=self.seed,
            augment=self.augment,
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """Yield the validation regions."""
        return self._whole("validation")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Yield the test regions."""
        return self._whole("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Yield the test regions."""
        return self._whole("test")

    def _whole(self, part: str) -> DataLoader[Batch]:
        world, rank = self._processes()
        regions = self._regions[part]
        if len(regions) < world:
            raise UserError(
                f"split {self.split.name!r} has {len(regions)} {part} regions for {world} processes; every "
                f"process needs one, use at most {len(regions)} devices"
            )
        scenes = [region.scene for region in regions]
        named = []
        for region in regions:
            window = self._window(region)
            alone = scenes.count(region.scene) == 1
            name = region.scene if alone else f"{region.scene}{window}"
            named.append((name, self._pairs[region.scene], window))
        data = WholeRegions(named, self.scale)
        # Cut in this process: a worker would only copy the region once more.
        return DataLoader(
            data,
            batch_size=1,
            sampler=ShardSampler(data, world, rank),
            collate_fn=_only,
            pin_memory=torch.cuda.is_available(),
        )

    def _corners(self, region: Region) -> Tensor:
        window = self._window(region)
        rows, cols = (last - first for first, last in (window.rows, window.cols))
        if self.patch > min(rows, cols):
            raise UserError(
                f"patch {self.patch} is larger than the training region {region.scene}{window} of {rows} x "
                f"{cols} pixels; use a patch of at most {min(rows, cols)}"
            )
        held_out = [
            self._window(other, scale=1)
            for other in (*self.split.validation, *self.split.test)
            if other.scene == region.scene
        ]
        if self.sensors.border == "circular":
            held_out = [copy for other in held_out for copy in self._wrapped(other, region.scene)]
        corners = allowed_corners(window, held_out, self.patch, self.scale, self.sensors.support)
        beside = "the validation and test regions"
        if region.scene in self._nodata:
            corners = corners[self._clear(region.scene, corners, self.patch, self.patch)]
            beside += " and the pixels without data"
        if not len(corners):
            raise UserError(
                f"no crop of {self.patch} pixels fits the training region {region.scene}{window} beside "
                f"{beside}; use a smaller patch"
            )
        return corners

    def _check_held_out(self, scene: str, stage: str) -> None:
        """Refuse validation and test regions of a scene that see pixels without data."""
        # A test region is refused before the training, not after it.
        for part in ("validation", "test") if stage == "fit" else PARTS[stage]:
            for region in self._regions[part]:
                if region.scene != scene:
                    continue
                window = self._window(region)
                (top, bottom), (left, right) = window.rows, window.cols
                corner = torch.tensor([[top // self.scale, left // self.scale]])
                if not self._clear(scene, corner, bottom - top, right - left):
                    inside = int(self._nodata[scene][top:bottom, left:right].sum())
                    raise UserError(
                        f"the {part} region {scene}{window} holds {inside} pixels without data, or the blur "
                        f"reaches such pixels; a metric there means nothing, choose another region"
                    )

    def _clear(self, scene: str, corners: Tensor, rows: int, cols: int) -> Tensor:
        return clear_of(self._nodata[scene], corners, rows, cols, self.scale, self.sensors.support)

    def _window(self, region: Region, scale: int | None = None) -> Window:
        rows, cols = self._pairs[region.scene].size
        return region.within(rows, cols, self.scale if scale is None else scale)

    def _wrapped(self, window: Window, scene: str) -> list[Window]:
        """Return the window where the blur finds it: in the scene and in its copies around it."""
        rows, cols = (size // self.scale * self.scale for size in self._pairs[scene].size)
        (top, bottom), (left, right) = window.rows, window.cols
        return [
            Window((top + down, bottom + down), (left + aside, right + aside))
            for down in (-rows, 0, rows)
            for aside in (-cols, 0, cols)
        ]

    def _processes(self) -> tuple[int, int]:
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    def _check_numbers(self) -> None:
        if self.patch < self.scale or self.patch % self.scale:
            below = max(self.scale, self.patch // self.scale * self.scale)
            raise UserError(
                f"patch {self.patch} is not a multiple of scale {self.scale}; use {below} or "
                f"{below + self.scale}"
            )
        least = {"batch_size": 1, "patches_per_epoch": 1, "num_workers": 0, "seed": 0}
        for argument, minimum in least.items():
            if getattr(self, argument) < minimum:
                raise UserError(f"{argument} must be at least {minimum}, not {getattr(self, argument)}")


def _as_is(batch: Any) -> Any:
    # `TrainingCrops.__getitems__` returns a batch already.
    return batch


def _only(samples: list[Batch]) -> Batch:
    (batch,) = samples
    return batch
