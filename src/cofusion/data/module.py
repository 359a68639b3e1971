"""The Lightning data module: scenes in, batches of simulated pairs out."""

from collections.abc import Callable, Iterable
from math import isfinite
from pathlib import Path
from typing import Any

from torch import Tensor

from cofusion.data.base import PARTS, PairDataModule
from cofusion.data.pairs import Pair
from cofusion.data.splits import Region, load_split
from cofusion.errors import UserError
from cofusion.scenes import DatasetNotFoundError, SceneSet
from cofusion.sensors import Border, Preset, PSFSpec, ResponseSpec, Sensors


class FusionDataModule(PairDataModule):
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
        self.scenes = scenes(Path(root))
        sensors = Sensors.preset(
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
        super().__init__(
            load_split(split),
            sensors,
            patch=patch,
            batch_size=batch_size,
            patches_per_epoch=patches_per_epoch,
            augment=augment,
            num_workers=num_workers,
            seed=seed,
        )
        self.preset = preset
        self.psf = psf
        self._scaled: dict[str, dict[str, float]] = {}
        self._check_split()
        self._regions = {**self._regions, "test": _chosen(self.split.test, test_scenes)}

    @property
    def hsi_bands(self) -> int:
        """Number of hyperspectral bands `C`."""
        return self.scenes.bands

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

    @property
    def origin(self) -> dict[str, Any]:
        """What else weights trained here are to be known by, see `PairDataModule.origin`."""
        return {
            "dataset": self.scenes.stem,
            "scenes": type(self.scenes),
            "split": self.split.name,
            "train_scenes": tuple(dict.fromkeys(region.scene for region in self.split.train)),
            # A rule such as max gives every scene a divisor of its own.
            "scaling": None if isinstance(self.scenes.scaling, str) else float(self.scenes.scaling),
            "preset": self.preset,
        }

    def setup(self, stage: str) -> None:
        """Read and degrade the scenes that a stage needs and that are not in memory yet.

        Raises:
            UserError: Scenes without a file (each is named), files that cannot be used, regions or crops that
                do not fit the scenes, pixels without data in a validation or test region.
        """
        regions = [region for part in PARTS[stage] for region in self._regions[part]]
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

    def _require(self, names: list[str], stage: str) -> None:
        try:
            self.scenes.require(names)
        except DatasetNotFoundError as error:
            present = [name for name in names if name not in error.missing]
            if "test" not in PARTS[stage] or not present:
                raise
            advice = f"or test on those you have: --data.test_scenes '[{', '.join(present)}]'"
            raise DatasetNotFoundError(self.scenes, error.missing, advice) from None

    def _check_split(self) -> None:
        if self.split.dataset != self.scenes.stem:
            raise UserError(
                f"split {self.split.name!r} is for the data set {self.split.dataset!r}, the scenes are "
                f"{self.scenes.stem!r}; choose a split of the same data set"
            )
        everywhere = (*self.split.train, *self.split.validation, *self.split.test)
        self.scenes.check_names([region.scene for region in everywhere])


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
