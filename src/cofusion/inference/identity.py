"""What a product depends on: its tags for people, and what an interrupted fusion is recognised by."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, astuple, replace
from importlib.metadata import version
from typing import Any

from torch import nn

from cofusion.inference.images import Image
from cofusion.inference.layout import Layout
from cofusion.inference.setup import Options, Setup


def tags(setup: Setup, command: str) -> Mapping[str, str]:
    """Return the tags that a product states its origin by."""
    trained = setup.method.provenance
    found = {
        "COFUSION_VERSION": version("cofusion"),
        "METHOD": setup.method.name,
        "WEIGHTS_SHA256": setup.method.sha256 or "",
        "TRAINED_ON": trained.dataset or "",
        "TRAINED_BY": ""
        if trained.version is None
        else f"cofusion {trained.version} {trained.commit or ''}".strip(),
        "SCALE": str(setup.pair.scale),
        "PHASE": f"{setup.method.phase:g}",
        "LR_HSI": setup.pair.lr_hsi.name,
        "HR_MSI": setup.pair.hr_msi.name,
        "HSI_SCALING": f"{setup.hsi_range.scaling:.9g}",
        "MSI_SCALING": f"{setup.msi_range.scaling:.9g}",
        "COMMAND": command,
    }
    return {name: value for name, value in found.items() if value}


def identity(lr_hsi: Image, hr_msi: Image, setup: Setup, options: Options, layout: Layout) -> dict[str, Any]:
    """Return what the product's values depend on, with names that the person knows."""
    tiling = setup.job.tiling
    facts = asdict(replace(options, sensors=None))
    # Neither changes a value.
    del facts["device"], facts["check_values"]
    return facts | {
        "sensors": None if options.sensors is None else options.sensors.identity(),
        "lr_hsi": _stamp(lr_hsi),
        "hr_msi": _stamp(hr_msi),
        "method": setup.method.name,
        "weights": setup.method.sha256 or _digest(setup.method.net),
        "scalings": [setup.hsi_range.scaling, setup.msi_range.scaling],
        "tiles": list(astuple(tiling)),
        "dtype": layout.dtype,
        "compress": layout.compress,
        "version": version("cofusion"),
    }


def _stamp(image: Image) -> list[Any]:
    nodata = None if image.nodata is None else str(image.nodata)
    if image.path is None:
        return [image.name, *image.shape, nodata]
    status = image.path.stat()
    return [str(image.path.absolute()), *image.shape, nodata, status.st_size, status.st_mtime_ns]


def _digest(net: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in net.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
