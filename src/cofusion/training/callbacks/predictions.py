"""Fused scenes as files: a GeoTIFF for other programs and a picture for a quick look."""

import math
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lightning.pytorch import Callback, LightningModule, Trainer

from cofusion.files import whole_file
from cofusion.reports import save_figure
from cofusion.scenes import Georeference
from cofusion.training.callbacks.scene_figure import FileStems, estimates, run_dir, scene_figure

TILE = 256


class PredictionWriter(Callback):
    """Write every predicted scene to `predictions/<scene>.tif` in the run directory.

    Values are in [0, 1]: `SCALING` is what the scene's were divided by. Where it is known, the file has the
    scene's place; pixels without data are NaN. Band descriptions carry the wavelengths, the file's tags
    cofusion's version, the checkpoint and the scale.
    A scene that comes twice (two of its regions, say) gets a number behind its name from the second time on.

    Args:
        quicklook: Also write `predictions/<scene>.png`, the picture that `cofusion.reports.fusion_figure`
            makes.
    """

    def __init__(self, quicklook: bool = True) -> None:
        self.quicklook = quicklook
        self._stems = FileStems()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the names of an earlier prediction."""
        self._stems = FileStems()

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Mapping[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the batch's scenes."""
        data = getattr(trainer, "datamodule", None)
        tags = {
            "COFUSION_VERSION": version("cofusion"),
            "CHECKPOINT": str(Path(trainer.ckpt_path).resolve()) if trainer.ckpt_path else "",
            "SCALE": str(getattr(data, "scale", "")),
            "SCALING": str(getattr(data, "protocol", {}).get("scaling", "")),
        }
        wavelengths = getattr(data, "wavelengths", None)
        for index, cube in enumerate(estimates(outputs)["fused"]):
            scene = batch["name"][index]
            path = run_dir(trainer) / "predictions" / f"{self._stems(scene)}.tif"
            cube = cube.detach().float().cpu()
            if "nodata" in batch:
                cube = cube.masked_fill(batch["nodata"][index].cpu(), math.nan)
            place = Georeference(*batch["place"][index]) if "place" in batch else None
            write_geotiff(path, cube.numpy(), wavelengths, tags, place)
            if self.quicklook:
                figure = scene_figure(trainer, pl_module, outputs, batch, index, scene)
                save_figure(figure, path.with_suffix(".png"))


def write_geotiff(
    path: Path,
    cube: npt.NDArray[np.float32],
    wavelengths: Sequence[float] | None = None,
    tags: Mapping[str, str] | None = None,
    georeference: Georeference | None = None,
) -> None:
    """Write a cube as a tiled, compressed float32 GeoTIFF, whole or not at all; NaN means no data.

    Args:
        path: Where to; missing folders are made.
        cube: (bands, rows, cols).
        wavelengths: (bands,) in nm, for the band descriptions.
        tags: For the file's metadata; empty values are left out.
        georeference: Where it lies, or None.

    Raises:
        OSError: The folder cannot be written.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    bands, rows, cols = cube.shape
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": bands,
        "height": rows,
        "width": cols,
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "interleave": "band",
        "compress": "deflate",
        "predictor": 3,  # the one for floating point
        "BIGTIFF": "IF_SAFER",
        "nodata": math.nan,
    }
    if georeference is not None:
        profile |= georeference.profile()
    with whole_file(path) as part, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # many scenes have no place on Earth
        with rasterio.open(part, "w", **profile) as file:
            file.write(cube)
            file.update_tags(**{key: value for key, value in (tags or {}).items() if value})
            for band, nm in enumerate(() if wavelengths is None else wavelengths, start=1):
                file.set_band_description(band, f"{float(nm):.1f} nm")
