"""CoFusion: multispectral and hyperspectral image fusion.

The names below are imported when they are first used, so that `import cofusion` and `cofusion --help` stay
quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cofusion import metrics as metrics
    from cofusion.data import FusionDataModule as FusionDataModule
    from cofusion.inference import fuse as fuse
    from cofusion.models import CoFusion as CoFusion
    from cofusion.sensors import Sensors as Sensors
    from cofusion.sensors import degrade as degrade
    from cofusion.training import FusionModule as FusionModule

    __version__: str

__all__ = [
    "CoFusion",
    "FusionDataModule",
    "FusionModule",
    "Sensors",
    "__version__",
    "degrade",
    "fuse",
    "metrics",
]

_HOME = {
    "CoFusion": "cofusion.models",
    "FusionDataModule": "cofusion.data",
    "FusionModule": "cofusion.training",
    "Sensors": "cofusion.sensors",
    "degrade": "cofusion.sensors",
    "fuse": "cofusion.inference",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = importlib.import_module("importlib.metadata").version("cofusion")
    elif name == "metrics":
        value = importlib.import_module("cofusion.metrics")
    elif name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
