"""Methods that need no weights: their names, the sensors that they are told, the memory that they take."""

import importlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cofusion.configs import read_config
from cofusion.errors import UserError
from cofusion.inference.images import Image
from cofusion.inference.placement import Pair
from cofusion.memory import available
from cofusion.models.classical.base import ClassicalMethod
from cofusion.resources import resource_dir
from cofusion.scenes.space import readable
from cofusion.sensors import Radiometry, Sensors, estimate_sensors, fit_radiometry

# Interpolation, the one method that asks for neither sensors nor the whole image.
BICUBIC = "bicubic"

# Sensors and radiometry are found in the middle of the pair: so many LR pixels along an axis tell them.
_WINDOW = 192
# Copies of the product, as float32, that a method holds at a time; measured by benchmarks/classical.py.
_COPIES = 12


def names() -> tuple[str, ...]:
    """Return the names of all methods: `bicubic`, and the shipped configs of `classical/`."""
    folder = resource_dir("configs") / "classical"
    return (BICUBIC, *sorted(path.stem for path in folder.glob("*.yaml")))


def check_name(name: str) -> None:
    """Raise `UserError` unless there is a method of this name."""
    if name not in names():
        raise UserError(f"there is no method {name!r}; choose one of: {', '.join(names())}")


def make(name: str) -> ClassicalMethod:
    """Make a method with the options of its shipped config.

    Args:
        name: One of `names()` other than `bicubic`.
    """
    config = read_config(resource_dir("configs") / "classical" / f"{name}.yaml")["model"]["net"]
    module, _, cls = config["class_path"].rpartition(".")
    method: ClassicalMethod = getattr(importlib.import_module(module), cls)(**config.get("init_args", {}))
    return method


class Told(nn.Module):
    """A classical method that has been told the sensors, so that it is called like a network."""

    def __init__(self, method: ClassicalMethod, sensors: Sensors) -> None:
        super().__init__()
        self.method, self.sensors = method, sensors

    def forward(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Fuse `lr_hsi (B, C, h, w)` and `hr_msi (B, c, H, W)` to `(B, C, H, W)`."""
        fused: Tensor = self.method(lr_hsi, hr_msi, self.sensors)
        return fused


@dataclass(frozen=True, eq=False)
class Known:
    """What a pair's images tell about how they were taken.

    Attributes:
        sensors: Both sensors.
        radiometry: What brings the HRMSI to the LRHSI's scale.
        notes: What the person should know about them.
    """

    sensors: Sensors
    radiometry: Radiometry
    notes: tuple[str, ...]


def look_at(pair: Pair, hsi_scaling: float, msi_scaling: float, sensors: Sensors | None) -> Known:
    """Find out how a pair was taken, from the middle of it.

    Args:
        pair: The pair.
        hsi_scaling: The LRHSI's values are divided by this.
        msi_scaling: The HRMSI's values are divided by this.
        sensors: Where they are known; otherwise they are estimated.

    Raises:
        UserError: Sensors of another pair, or images that do not allow an estimate.
    """
    lr, hr = _middle(pair.lr_hsi, 1, hsi_scaling), _middle(pair.hr_msi, pair.scale, msi_scaling)
    hsi, msi = (torch.from_numpy(np.nan_to_num(image)) for image in (lr, hr))
    lr_nodata, hr_nodata = (torch.from_numpy(np.isnan(image[0])) for image in (lr, hr))
    notes: tuple[str, ...] = ()
    if sensors is None:
        found = estimate_sensors(hsi, msi, pair.scale, lr_nodata=lr_nodata, hr_nodata=hr_nodata)
        sensors = found.sensors()
        notes = (
            "the sensors were estimated from the pair; --sensors FILE takes known ones",
            *(f"the estimate is doubtful: {doubt}" for doubt in found.doubts()),
        )
    sensors.check_fits(pair.scale, pair.hr_msi.shape[0], pair.lr_hsi.shape[0])
    return Known(sensors, fit_radiometry(hsi, msi, sensors, lr_nodata, hr_nodata), notes)


def calibrated(image: Image, gain: Any, offset: Any) -> Image:
    """Return an image whose values are `(stored - offset) / gain`, band by band."""
    factors, zeros = (np.asarray(part, np.float32)[:, None, None] for part in (gain, offset))
    load = image.load
    return replace(image, load=lambda rows, cols: (load(rows, cols) - zeros) / factors)


def check_memory(pair: Pair, name: str) -> None:
    """Raise `UserError` where a method that sees the whole image needs more memory than there is."""
    bands = pair.lr_hsi.shape[0]
    _, rows, cols = pair.hr_msi.shape
    needed, free = _COPIES * 4 * bands * rows * cols, available()
    if needed > free:
        raise UserError(
            f"{name} fuses the whole image at once and needs about {readable(needed)} of memory for {bands} "
            f"bands of {rows} x {cols} pixels, {readable(free)} are available; fuse parts of the area, or "
            f"use --method {BICUBIC} or weights, which fuse in tiles"
        )


def _middle(image: Image, thick: int, scaling: float) -> Any:
    _, rows, cols = image.shape
    spans = []
    for size in (rows // thick, cols // thick):
        length = min(size, _WINDOW)
        first = (size - length) // 2
        spans.append(slice(first * thick, (first + length) * thick))
    return image.load(*spans) / np.float32(scaling)
