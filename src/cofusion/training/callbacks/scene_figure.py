"""From a batch and the module's outputs to files: what the callbacks that write pictures share."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from cofusion import method_names
from cofusion.files import file_stem
from cofusion.reports import fusion_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = npt.NDArray[np.float32]


def run_dir(trainer: Trainer) -> Path:
    """The run directory, which is where everything of a run is written."""
    return Path(trainer.default_root_dir)


def method_title(module: LightningModule) -> str:
    """What the trained network is called in tables and pictures."""
    net = getattr(module, "net", module)
    return method_names.method_title(type(net).__name__, vars(net))


def estimates(outputs: Any) -> dict[str, Tensor]:
    """The named estimates (B, C, H, W) of a step: `fused` and perhaps baselines; a lone tensor is `fused`."""
    if isinstance(outputs, Tensor):
        return {"fused": outputs}
    return dict(outputs) if isinstance(outputs, Mapping) and "fused" in outputs else {}


class FileStems:
    """File names of scenes: one that comes twice gets a number behind its name from the second time on."""

    def __init__(self) -> None:
        self._given: dict[str, int] = {}

    def __call__(self, scene: str) -> str:
        """Return the next name for a scene, without a suffix."""
        stem = file_stem(scene)
        self._given[stem] = count = self._given.get(stem, 0) + 1
        return stem if count == 1 else f"{stem}_{count}"


def scene_cubes(outputs: Any, batch: Mapping[str, Any], index: int) -> dict[str, Array]:
    """One image of a batch as arrays: the estimates, `lr_hsi`, `hr_msi` and, where known, `reference`."""
    cubes = {**estimates(outputs), **{key: batch[key] for key in ("lr_hsi", "hr_msi")}}
    if "hr_hsi" in batch:
        cubes["reference"] = batch["hr_hsi"]
    return {key: cube[index].detach().float().cpu().numpy() for key, cube in cubes.items()}


def scene_wavelengths(trainer: Trainer) -> tuple[Tensor | None, Tensor | None]:
    """The bands' wavelengths in nm, and those of the HRMSI as its response's centres of mass."""
    datamodule = getattr(trainer, "datamodule", None)
    wavelengths = getattr(datamodule, "wavelengths", None)
    sensors = getattr(datamodule, "sensors", None)
    if wavelengths is None or sensors is None:
        return wavelengths, None
    weights = sensors.response.weights.double()
    return wavelengths, weights @ wavelengths.to(weights) / weights.sum(dim=1)


def scene_figure(
    trainer: Trainer, module: LightningModule, outputs: Any, batch: Mapping[str, Any], index: int, title: str
) -> "Figure":
    """Draw one image of a batch; `reports.fusion_figure` says how."""
    cubes = scene_cubes(outputs, batch, index)
    wanted = ("lr_hsi", "hr_msi", "fused", "reference", "bicubic")
    arrays = {key: cubes[key] for key in wanted if key in cubes}
    hsi, msi = scene_wavelengths(trainer)
    scale = arrays["hr_msi"].shape[-1] // arrays["lr_hsi"].shape[-1]
    return fusion_figure(
        **arrays,
        wavelengths=hsi,
        msi_wavelengths=msi,
        title=f"{title}, scale {scale}",
        method=method_title(module),
    )
