"""The data module of one real pair: it is trained on degraded, and fused as it is."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from cofusion.data.base import PairDataModule
from cofusion.data.crops import Batch, TrainingCrops
from cofusion.data.pairs import Pair
from cofusion.data.real_sensors import RealImages
from cofusion.data.sampling import allowed_corners
from cofusion.data.splits import Region, Split, Window
from cofusion.errors import UserError
from cofusion.scenes import Scene, read_file
from cofusion.scenes.formats import open_file
from cofusion.scenes.holes import fill_nearest
from cofusion.scenes.scaling import Scaling
from cofusion.sensors import Preset, PSFSpec, ResponseSpec, fit_radiometry
from cofusion.sensors.estimate import find_scale

Side = Literal["left", "right", "top", "bottom"]

_log = logging.getLogger(__name__)
_FULL = " (full resolution)"
# More of a band's standard deviation than this is no noise.
_MUCH = 0.2


class RealPairDataModule(PairDataModule):
    """Two images of one place by two sensors, to which there is no reference.

    Training follows Wald's protocol at reduced resolution (Wald, Ranchin and Mangolini, Photogrammetric
    Engineering & Remote Sensing 63(6), 1997): both images are degraded by the scale as the hyperspectral
    sensor would, and the LRHSI itself is the reference. Beside such a crop, a batch holds one of the pair as
    it is, for the consistency of the fused image. One side of the scene is held out of both, for validation
    at reduced resolution. Test and prediction take the whole pair as it is.

    The images are read when the module is made.

    Args:
        lr_hsi: File of the LRHSI: GeoTIFF, ENVI, MATLAB, HDF5, NetCDF, .npy or a folder of PNGs.
        hr_msi: File of the HRMSI; it shows the same ground, scale times as fine.
        lr_hsi_key: Variable of the LRHSI in a MATLAB, HDF5 or NetCDF file that holds several.
        hr_msi_key: The same of the HRMSI.
        scale: Resolution ratio; told from the sizes when left out.
        sensors: File of both sensors, as `cofusion sensors estimate` writes it. Without it and without a
            response, both are estimated from the pair.
        response: Spectral response of the multispectral sensor, where it is known: CsvResponse,
            SatelliteResponse, GaussianResponse or BandPick of cofusion.sensors. Preset, psf and phase then
            say the rest.
        preset: Blur and decimation by name, for a known response; wald is a Gaussian as wide as a block, at
            its centre.
        psf: Blur instead of the preset's: GaussianPSF or MeasuredPSF of cofusion.sensors.
        phase: Where a low-resolution sample sits in its block, instead of the preset's.
        wavelengths: Band centres of the LRHSI in nm in place of the file's: one per band, or the first and
            the last of an even grid.
        hsi_scaling: The LRHSI's values are divided by this: a number, max, or a percentile such as p99.9.
        msi_scaling: The same of the HRMSI. What the two scalings leave different between the images, a gain
            and an offset for each band of the HRMSI, is found and taken out.
        hsi_nodata: The value that stands for missing data in the LRHSI, in place of the file's.
        msi_nodata: The same of the HRMSI.
        held_out: Which side of the scene validates.
        held_out_share: How much of the scene it is, above 0 and at most 0.5.
        patch: Rows and columns of a training crop in pixels of the finer image of each kind, a multiple of
            scale: of the LRHSI at reduced resolution, of the HRMSI at full resolution.
        batch_size: Crops of either kind per training batch (and process).
        patches_per_epoch: Crops of either kind per epoch, over all processes.
        augment: Whether to flip and turn the crops at reduced resolution.
        num_workers: Processes that cut training crops; 0 cuts them in the training process.
        seed: Seed of crops, flips and turns.

    Raises:
        UserError: Files that cannot be used, or that do not belong together.
    """

    def __init__(
        self,
        lr_hsi: Path,
        hr_msi: Path,
        lr_hsi_key: str | None = None,
        hr_msi_key: str | None = None,
        scale: int | None = None,
        sensors: Path | None = None,
        response: ResponseSpec | None = None,
        preset: Preset = "wald",
        psf: PSFSpec | None = None,
        phase: float | None = None,
        wavelengths: list[float] | None = None,
        hsi_scaling: Scaling = "max",
        msi_scaling: Scaling = "max",
        hsi_nodata: float | None = None,
        msi_nodata: float | None = None,
        held_out: Side = "right",
        held_out_share: float = 0.2,
        patch: int = 32,
        batch_size: int = 8,
        patches_per_epoch: int = 800,
        augment: bool = True,
        num_workers: int = 0,
        seed: int = 3407,
    ) -> None:
        # What does not fit is told before it is read.
        shapes = (open_file(lr_hsi, lr_hsi_key).shape, open_file(hr_msi, hr_msi_key).shape)
        coarse, fine = (torch.empty(shape, device="meta") for shape in shapes)
        scale = find_scale(coarse, fine, scale)
        self.hsi = read_file(
            lr_hsi, lr_hsi_key, scaling=hsi_scaling, wavelengths=wavelengths, nodata=hsi_nodata
        )
        self.msi = read_file(hr_msi, hr_msi_key, scaling=msi_scaling, nodata=msi_nodata)
        if response is not None and sensors is not None:
            raise UserError("both a file of sensors and a response are given; leave one of them out")
        images = RealImages(self.hsi, self._msi_cube, self._msi_nodata, scale)
        if response is not None:
            known = images.named(response, preset, psf=psf, phase=phase)
        else:
            known = images.estimated() if sensors is None else images.read(sensors)
        super().__init__(
            _split(self.hsi, held_out, held_out_share),
            known,
            patch=patch,
            batch_size=batch_size,
            patches_per_epoch=patches_per_epoch,
            augment=augment,
            num_workers=num_workers,
            seed=seed,
        )
        self.radiometry = fit_radiometry(
            self.hsi.cube, self._msi_cube, self.sensors, self.hsi.nodata, self._msi_nodata
        )
        worst = int(self.radiometry.unexplained.argmax())
        if (part := float(self.radiometry.unexplained[worst])) > _MUCH:
            _log.warning(
                f"{100 * part:.0f} % of the contrast of the HRMSI's {self.sensors.response.names[worst]} "
                f"does not follow the LRHSI (tone curve, other light, or sensors that are not theirs); hold "
                "the fused image to it loosely: --model.consistency.hr_msi 0.1"
            )

    @property
    def hsi_bands(self) -> int:
        """Number of hyperspectral bands `C`."""
        return len(self.hsi.cube)

    @property
    def wavelengths(self) -> Tensor | None:
        """`(C,)` band centres in nm, or None where the file states none."""
        return self.hsi.wavelengths

    @property
    def protocol(self) -> dict[str, Any]:
        """What the pairs depend on, for the record of a run; plain values."""
        response = self.sensors.response
        return {
            "dataset": self.split.dataset,
            "lr_hsi": self.hsi.source,
            "hr_msi": self.msi.source,
            "scaling": self.hsi.scaling,
            "msi_scaling": self.msi.scaling,
            "msi_gain": self.radiometry.gain.tolist(),
            "msi_offset": self.radiometry.offset.tolist(),
            "split": self.split.name,
            "scale": self.scale,
            "phase": self.phase,
            "psf_size": self.sensors.psf.shape[0],
            "border": self.sensors.border,
            "response": response.source,
            "msi_bands": list(response.names),
        }

    @property
    def origin(self) -> dict[str, Any]:
        """What else weights trained here are to be known by, see `PairDataModule.origin`."""
        gain, offset = (self.msi.scaling * part for part in (self.radiometry.gain, self.radiometry.offset))
        return {
            "dataset": self.split.dataset,
            "split": self.split.name,
            "train_scenes": (self.hsi.name,),
            "scaling": self.hsi.scaling,
            "msi_gain": tuple(gain.tolist()),
            "msi_offset": tuple(offset.tolist()),
        }

    def setup(self, stage: str) -> None:
        """Degrade the pair, where that is not done yet.

        Raises:
            UserError: A scene too small for its parts, or pixels without data in the part held out.
        """
        name, sensors = self.hsi.name, self.sensors
        if name in self._pairs:
            return
        hr_msi = self.radiometry.calibrate(self._msi_cube).clamp_(0, 1)
        if self._msi_nodata is not None:
            fill_nearest(hr_msi.numpy(), self._msi_nodata.numpy())
        lr_hsi = self.hsi.cube
        if self.hsi.nodata is not None:
            lr_hsi = lr_hsi.clone()
            fill_nearest(lr_hsi.numpy(), self.hsi.nodata.numpy())
        self._pairs[name + _FULL] = Pair(
            name, None, hr_msi, (lr_hsi,), nodata=self._nodata_of_pair(), georeference=self.msi.georeference
        )
        self._pairs[name] = Pair.reduced(self.hsi, hr_msi, sensors, self.augment)
        blind = self._blind()
        if blind is not None:
            self._nodata[name] = blind
            self._nodata[name + _FULL] = _repeated(blind, self.scale)
            self._check_held_out(name, stage)

    def _training(self) -> Dataset[Batch]:
        full = TrainingCrops(
            [self._pairs[self.hsi.name + _FULL]],
            [self._full_corners()],
            patch=self.patch,
            scale=self.scale,
            length=self.patches_per_epoch,
            seed=self.seed,
            # A real image cannot be taken again of a turned scene.
            augment=False,
        )
        return _Both(self._crops(), full)

    def _full_corners(self) -> Tensor:
        """Where crops of the pair itself may lie: clear of the part held out and of pixels without data."""
        name, s = self.hsi.name + _FULL, self.scale
        held_out = [self._window(region, scale=1) for region in self.split.validation]
        fine = [Window(*((a * s, b * s) for a, b in (one.rows, one.cols))) for one in held_out]
        everywhere = self._window(Region(name))
        corners = allowed_corners(everywhere, fine, self.patch, s, self.sensors.support)
        if name in self._nodata:
            corners = corners[self._clear(name, corners, self.patch, self.patch)]
        if not len(corners):
            raise UserError(
                f"no crop of {self.patch} HRMSI pixels fits the scene beside the part held out and the "
                f"pixels without data; use a smaller patch"
            )
        return corners

    @property
    def _msi_cube(self) -> Tensor:
        """The HRMSI without rest pixels beyond the LRHSI's blocks, as it was scaled."""
        return self.msi.cube[:, : self._fine[0], : self._fine[1]]

    @property
    def _msi_nodata(self) -> Tensor | None:
        nodata = self.msi.nodata
        return None if nodata is None else nodata[: self._fine[0], : self._fine[1]]

    @property
    def _fine(self) -> tuple[int, int]:
        (h, w), (rows, cols) = self.hsi.cube.shape[-2:], self.msi.cube.shape[-2:]
        return rows // h * h, cols // w * w

    def _nodata_of_pair(self) -> Tensor | None:
        """Where one of the images holds no data, on the HRMSI's grid: `(H, W)` bool."""
        nodata, hr_nodata = self.hsi.nodata, self._msi_nodata
        if nodata is None:
            return hr_nodata
        fine = _repeated(nodata, self.scale)
        return fine if hr_nodata is None else fine | hr_nodata

    def _blind(self) -> Tensor | None:
        """Where, on the LRHSI's grid, one of the images holds no data: `(h, w)` bool."""
        nodata, hr_nodata = self.hsi.nodata, self._msi_nodata
        if hr_nodata is None:
            return nodata
        reached = self.sensors.lr_hsi(hr_nodata[None].float())[0] > 0
        inside = F.max_pool2d(hr_nodata[None].float(), self.scale)[0] > 0
        return reached | inside if nodata is None else reached | inside | nodata


class _Both(Dataset[Batch]):
    """Crops at reduced resolution together with crops of the pair itself."""

    def __init__(self, reduced: TrainingCrops, full: TrainingCrops) -> None:
        self.reduced, self.full = reduced, full

    def __len__(self) -> int:
        return len(self.full)

    def __getitem__(self, number: int) -> Batch:
        return self.__getitems__([number])

    def __getitems__(self, numbers: Sequence[int]) -> Batch:
        batch, full = self.reduced.__getitems__(numbers), self.full.__getitems__(numbers)
        batch["full_lr_hsi"], batch["full_hr_msi"] = full["lr_hsi"], full["hr_msi"]
        return batch


def _repeated(mask: Tensor, scale: int) -> Tensor:
    """Return a mask of blocks as one of their pixels."""
    return mask.repeat_interleave(scale, 0).repeat_interleave(scale, 1)


def _split(hsi: Scene, held_out: Side, share: float) -> Split:
    if not 0 < share <= 0.5:
        raise UserError(f"held_out_share must lie above 0 and be at most 0.5, not {share}")
    rows, cols = hsi.cube.shape[-2:]
    down, right = round(rows * share), round(cols * share)
    sides = {
        "left": Region(hsi.name, cols=(0, right)),
        "right": Region(hsi.name, cols=(cols - right, None)),
        "top": Region(hsi.name, rows=(0, down)),
        "bottom": Region(hsi.name, rows=(rows - down, None)),
    }
    return Split(
        name=f"{held_out}_{share:g}",
        dataset="real_pair",
        source=hsi.source,
        train=(Region(hsi.name),),
        validation=(sides[held_out],),
        test=(Region(hsi.name + _FULL),),
    )
