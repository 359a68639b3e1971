"""The Lightning data module: scenes in, batches of simulated pairs out."""

from collections.abc import Callable, Iterable
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from cofusion.data.crops import Batch, TrainingCrops, WholeRegions
from cofusion.data.pairs import Pair
from cofusion.data.sampling import EpochSampler, ShardSampler, allowed_corners, clear_of
from cofusion.data.splits import Region, Window, load_split
from cofusion.errors import UserError
from cofusion.scenes import DatasetNotFoundError, SceneSet
from cofusion.sensors import Border, Preset, PSFSpec, ResponseSpec, Sensors

_PARTS = {
    "fit": ("train", "validation"),
    "validate": ("validation",),
    "test": ("test",),
    "predict": ("test",),
}


class FusionDataModule(LightningDataModule):
    """Training crops and whole validation and test regions of a data set, degraded by two simulated sensors.

    Every scene is read once, degraded whole once and kept in memory; one of more than 1 GiB is mapped from
    files that the first start makes (see `cofusion.scenes.Scene.from_file`). Validation and test yield whole
    regions, one per batch, shrunk to the low-resolution grid. No pixel that contributes to one of them
    contributes to a training crop, the reach of the blur included (see `cofusion.data.allowed_corners`).

    Crops, flips and quarter turns are a function of (seed, epoch, index) alone: the number of workers does
    not change them, and a resumed run sees what an uninterrupted one sees.

    Args:
        scenes: The data set, a class of cofusion.scenes; called with the root.
        split: Which parts train, validate and test: a YAML file or the name of a shipped one.
        scale: Resolution ratio of the two sensors, an integer of at least 2.
        response: Spectral response of the multispectral sensor: CsvResponse, SatelliteResponse,
            GaussianResponse or BandPick of cofusion.sensors.
        root: Folder that holds the scenes, directly or in a folder named like the data set.
        preset: Blur, decimation and noise by name. paper: 3x3 Gaussian with sigma 0.5, first pixel of each
            block. wald: Gaussian as wide as a block, block centre. The others repeat what peers do, see
            data/README.md.
        psf: Blur instead of the preset's: GaussianPSF or MeasuredPSF of cofusion.sensors.
        phase: Where a low-resolution sample sits in its block, instead of the preset's: a whole number for a
            PSF with an odd number of taps, a whole number plus 0.5 for an even one.
        border: Values beyond the scene, instead of the preset's.
        hsi_snr: Signal-to-noise ratio of the hyperspectral image in dB, instead of the preset's; .inf for no
            noise.
        msi_snr: The same for the multispectral image.
        noise_seed: Seed of the noise; not that of the crops, so that runs of several seeds see one test set.
        patch: Rows and columns of a training crop in full-resolution pixels, a multiple of scale.
        batch_size: Crops per training batch (and process).
        patches_per_epoch: Crops per epoch, over all processes.
        augment: Whether to flip and turn the training crops.
        test_scenes: Test on these scenes of the split only; on all of them when left out.
        num_workers: Processes that cut training crops; 0 cuts them in the training process.
        seed: Seed of crops, flips and turns.

    Raises:
        UserError: An argument that cannot be used; reading starts only in `setup`.
    """

    def __init__(
        self,
        scenes: Callable[[Path], SceneSet],
        split: str,
        scale: int,
        response: ResponseSpec,
        root: Path = Path("data"),
        preset: Preset = "paper",
        psf: PSFSpec | None = None,
        phase: float | None = None,
        border: Border | None = None,
        hsi_snr: float | None = None,
        msi_snr: float | None = None,
        noise_seed: int = 0,
        patch: int = 64,
        batch_size: int = 8,
        patches_per_epoch: int = 3920,
        augment: bool = True,
        test_scenes: list[str] | None = None,
        num_workers: int = 0,
        seed: int = 3407,
    ) -> None:
        super().__init__()
        self.scenes = scenes(Path(root))
        self.split = load_split(split)
        self.sensors = Sensors.preset(
            preset,
            scale,
            response(self.scenes.wavelengths),
            psf=psf,
            phase=phase,
            border=border,
            hsi_snr=hsi_snr,
            msi_snr=msi_snr,
            noise_seed=noise_seed,
        )
        self.preset = preset
        self.psf = psf
        self.patch = patch
        self.batch_size = batch_size
        self.patches_per_epoch = patches_per_epoch
        self.augment = augment
        self.num_workers = num_workers
        self.seed = seed
        self._regions = {
            "train": self.split.train,
            "validation": self.split.validation,
            "test": _chosen(self.split.test, test_scenes),
        }
        self._pairs: dict[str, Pair] = {}
        self._nodata: dict[str, Tensor] = {}
        self._scaled: dict[str, dict[str, float]] = {}
        self._check_arguments()

    @property
    def scale(self) -> int:
        """Resolution ratio `s`."""
        return self.sensors.scale

    @property
    def phase(self) -> float:
        """Where a low-resolution sample sits in its block, in full-resolution pixels."""
        return self.sensors.phase

    @property
    def hsi_bands(self) -> int:
        """Number of hyperspectral bands `C`."""
        return self.scenes.bands

    @property
    def msi_bands(self) -> int:
        """Number of multispectral bands `c`."""
        return self.sensors.response.msi_bands

    @property
    def wavelengths(self) -> Tensor:
        """`(C,)` band centres in nm."""
        return self.scenes.wavelengths

    @property
    def protocol(self) -> dict[str, Any]:
        """What the pairs depend on, for the record of a run; plain values.

        `scenes` holds, for each scene read so far, the number its values were divided by and how many of them
        were clipped.
        """
        response, noise = self.sensors.response, self.sensors.noise
        return {
            "dataset": self.scenes.stem,
            "scaling": self.scenes.scaling,
            "scenes": self._scaled,
            "split": self.split.name,
            "scale": self.scale,
            "preset": self.preset,
            "phase": self.phase,
            "psf": "the preset's" if self.psf is None else self.psf.describe(),
            "psf_size": self.sensors.psf.shape[0],
            "border": self.sensors.border,
            "hsi_snr": noise.hsi_snr if isfinite(noise.hsi_snr) else None,
            "msi_snr": noise.msi_snr if isfinite(noise.msi_snr) else None,
            "noise_seed": noise.seed,
            "response": response.source,
            "msi_bands": list(response.names),
        }

    def setup(self, stage: str) -> None:
        """Read and degrade the scenes that a stage needs and that are not in memory yet.

        Raises:
            UserError: Scenes without a file (each is named), files that cannot be used, regions or crops that
                do not fit the scenes, pixels without data in a validation or test region.
        """
        regions = [region for part in _PARTS[stage] for region in self._regions[part]]
        names = [name for name in dict.fromkeys(r.scene for r in regions) if name not in self._pairs]
        self._require(names, stage)
        turned = {region.scene for region in self.split.train} if self.augment else set()
        for name in names:
            scene = self.scenes.read(name)
            self._scaled[name] = {"scaling": scene.scaling, "clipped": scene.clipped}
            self._pairs[name] = Pair.simulate(scene, self.sensors, flips=name in turned)
            if scene.nodata is not None:
                self._nodata[name] = scene.nodata
                self._check_held_out(name, stage)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Yield batches of random crops; the last, incomplete batch of an epoch is dropped."""
        world, rank = self._processes()
        pairs = [self._pairs[region.scene] for region in self.split.train]
        crops = TrainingCrops(
            pairs,
            [self._corners(region) for region in self.split.train],
            patch=self.patch,
            scale=self.scale,
            length=self.patches_per_epoch,
            seed=self.seed,
            augment=self.augment,
        )
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

    def val_dataloader(self) -> DataLoader[Batch]:
        """Yield the validation regions."""
        return self._whole("validation")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Yield the test regions."""
        return self._whole("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Yield the test regions."""
        return self._whole("test")

    def _require(self, names: list[str], stage: str) -> None:
        try:
            self.scenes.require(names)
        except DatasetNotFoundError as error:
            present = [name for name in names if name not in error.missing]
            if "test" not in _PARTS[stage] or not present:
                raise
            advice = f"or test on those you have: --data.test_scenes '[{', '.join(present)}]'"
            raise DatasetNotFoundError(self.scenes, error.missing, advice) from None

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
        for part in ("validation", "test") if stage == "fit" else _PARTS[stage]:
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
        rows, cols = self._pairs[region.scene].hr_hsi.shape[-2:]
        return region.within(rows, cols, self.scale if scale is None else scale)

    def _wrapped(self, window: Window, scene: str) -> list[Window]:
        """Return the window where the blur finds it: in the scene and in its copies around it."""
        rows, cols = (size // self.scale * self.scale for size in self._pairs[scene].hr_hsi.shape[-2:])
        (top, bottom), (left, right) = window.rows, window.cols
        return [
            Window((top + down, bottom + down), (left + aside, right + aside))
            for down in (-rows, 0, rows)
            for aside in (-cols, 0, cols)
        ]

    def _processes(self) -> tuple[int, int]:
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    def _check_arguments(self) -> None:
        if self.split.dataset != self.scenes.stem:
            raise UserError(
                f"split {self.split.name!r} is for the data set {self.split.dataset!r}, the scenes are "
                f"{self.scenes.stem!r}; choose a split of the same data set"
            )
        everywhere = (*self.split.train, *self.split.validation, *self.split.test)
        self.scenes.check_names([region.scene for region in everywhere])
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


def _chosen(regions: tuple[Region, ...], scenes: Iterable[str] | None) -> tuple[Region, ...]:
    if scenes is None:
        return regions
    chosen, known = list(scenes), {region.scene: None for region in regions}
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        raise UserError(
            f"test_scenes: {', '.join(unknown) or 'none given'}; the test scenes of this split are: "
            f"{', '.join(known)}"
        )
    return tuple(region for region in regions if region.scene in chosen)


def _as_is(batch: Any) -> Any:
    # `TrainingCrops.__getitems__` returns a batch already.
    return batch


def _only(samples: list[Batch]) -> Batch:
    (batch,) = samples
    return batch
