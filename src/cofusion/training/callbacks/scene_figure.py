"""From a batch and the module's outputs to files: what the figure and prediction callbacks share."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from cofusion.reports import fusion_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run_dir(trainer: Trainer) -> Path:
    """The run directory, which is where everything of a run is written."""
    return Path(trainer.default_root_dir)


def file_stem(scene: str) -> str:
    """A scene's name as a file name: whatever is not a letter, a digit, `.`, `_` or `-` becomes `_`."""
    return re.sub(r"[^\w.-]+", "_", scene).strip("_")


def method_title(module: LightningModule) -> str:
    """What the trained network is called in tables and pictures: its class."""
    return type(getattr(module, "net", module)).__name__


def estimates(outputs: Any) -> dict[str, Tensor]:
    """The named estimates (B, C, H, W) of a step: `fused` and perhaps baselines; a lone tensor is `fused`."""
    if isinstance(outputs, Tensor):
        return {"fused": outputs}
    return dict(outputs) if isinstance(outputs, Mapping) and "fused" in outputs else {}


def scene_figure(
    trainer: Trainer, module: LightningModule, outputs: Any, batch: Mapping[str, Any], index: int, title: str
) -> "Figure":
    """Draw one image of a batch; `reports.fusion_figure` says how."""
    cubes = {**estimates(outputs), **{key: batch[key] for key in ("lr_hsi", "hr_msi")}}
    if "hr_hsi" in batch:
        cubes["reference"] = batch["hr_hsi"]
    wanted = ("lr_hsi", "hr_msi", "fused", "reference", "bicubic")
    arrays = {key: _plain(cubes[key][index]).numpy() for key in wanted if key in cubes}
    hsi, msi = _wavelengths(getattr(trainer, "datamodule", None))
    scale = arrays["hr_msi"].shape[-1] // arrays["lr_hsi"].shape[-1]
    return fusion_figure(
        **arrays,
        wavelengths=hsi,
        msi_wavelengths=msi,
        title=f"{title}, scale {scale}",
        method=method_title(module),
    )


def _plain(cube: Tensor) -> Tensor:
    return cube.detach().float().cpu()


def _wavelengths(datamodule: Any) -> tuple[Tensor | None, Tensor | None]:
    """The bands' wavelengths in nm, and those of the HRMSI as its response's centres of mass."""
    wavelengths = getattr(datamodule, "wavelengths", None)
    sensors = getattr(datamodule, "sensors", None)
    if wavelengths is None or sensors is None:
        return wavelengths, None
    weights = sensors.response.weights.double()
    return wavelengths, weights @ wavelengths.to(weights) / weights.sum(dim=1)
