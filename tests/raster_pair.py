"""A pair of rasters of one place, as two satellites would deliver it: georeferenced, with wavelengths."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import torch
from rasterio import Affine

from cofusion.scenes import Synthetic
from cofusion.sensors import GaussianResponse, Sensors

SCALE, HIGHEST = 4, 10000
CRS = "EPSG:32633"
PLACE = Affine(10, 0, 500000, 0, -10, 4200000)
MSI_NM = (470.0, 550.0, 650.0, 850.0)
RESPONSE = GaussianResponse([*MSI_NM], [70, 80, 70, 120])


class RasterPair:
    """What was simulated: `hr_hsi (bands, rows, cols)` in [0, 1], and the two rasters' values and files."""

    def __init__(self, folder: Path, rows: int = 64, cols: int = 80, bands: int = 6) -> None:
        scene = Synthetic(bands=bands, size=max(rows, cols), count=1).read("synthetic_0")
        self.hr_hsi = scene.cube[:, :rows, :cols]
        self.wavelengths = tuple(scene.wavelengths.tolist())
        self.sensors = Sensors.preset("wald", SCALE, RESPONSE(scene.wavelengths))
        lr, hr = self.sensors.degrade(self.hr_hsi)
        self.lr_values, self.hr_values = ((x.numpy() * HIGHEST).round().astype(np.uint16) for x in (lr, hr))
        folder.mkdir(parents=True, exist_ok=True)
        self.lr_hsi, self.hr_msi = folder / "lr_hsi.tif", folder / "hr_msi.tif"
        self.lr_place = PLACE * Affine.scale(SCALE)
        self.write_lr()
        self.write_hr()

    def write_lr(self, values: npt.NDArray[Any] | None = None, **options: Any) -> None:
        values = self.lr_values if values is None else values
        write_raster(self.lr_hsi, values, self.wavelengths, **({"transform": self.lr_place} | options))

    def write_hr(self, values: npt.NDArray[Any] | None = None, **options: Any) -> None:
        values = self.hr_values if values is None else values
        write_raster(self.hr_msi, values, options.pop("nm", MSI_NM), **({"transform": PLACE} | options))

    def command(self, *args: str) -> list[str]:
        return ["fuse", "--lr-hsi", str(self.lr_hsi), "--hr-msi", str(self.hr_msi), *args]

    def scaled(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The two images as a fusion sees them when each is divided by its maximum."""
        pair = (torch.from_numpy(x.astype(np.float32)) for x in (self.lr_values, self.hr_values))
        lr, hr = (x / x.max() for x in pair)
        return lr, hr


def write_raster(path: Path, values: npt.NDArray[Any], nm: tuple[float, ...] = (), **options: Any) -> None:
    bands, rows, cols = values.shape
    profile = {"driver": "GTiff", "count": bands, "height": rows, "width": cols, "dtype": values.dtype}
    with rasterio.open(path, "w", **({"crs": CRS} | profile | options)) as file:
        file.write(values)
        for band, centre in enumerate(nm, start=1):
            file.set_band_description(band, f"{centre:.2f} nm")
