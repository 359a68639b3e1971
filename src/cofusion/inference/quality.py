"""Quality of a product without a reference, measured in its middle."""

from pathlib import Path

import torch
from torch import Tensor

from cofusion.inference import product
from cofusion.inference.images import Array
from cofusion.inference.layout import Layout
from cofusion.inference.setup import Setup
from cofusion.metrics import d_lambda, d_s
from cofusion.metrics.qnr import blanked, combined
from cofusion.sensors import Sensors

# Pixels of the product along an axis: enough windows for a mean, little memory.
_SIDE = 512


def quality(path: Path, setup: Setup, layout: Layout, sensors: Sensors) -> dict[str, float]:
    """Measure D_lambda, D_s and QNR (`cofusion.metrics`) of the middle of a product.

    Args:
        path: The product.
        setup: What it was fused from.
        layout: How it is stored.
        sensors: How the two images come from the scene.

    Returns:
        `d_lambda`, `d_s`, `qnr`, and `side`, the pixels of the longer side of what was measured. Pixels
        without data in the product count as zeros, in all images.
    """
    scale = setup.pair.scale
    rows, cols = (_middle(size, max(1, _SIDE // scale)) for size in setup.pair.lr_hsi.shape[1:])
    fine_rows, fine_cols = (slice(run.start * scale, run.stop * scale) for run in (rows, cols))
    stored = product.read(path, fine_rows.start, fine_rows.stop - fine_rows.start)
    cube = layout.fused(stored)[:, :, fine_cols]
    fused = _tensor(cube, 1.0)
    lr_hsi = _tensor(setup.pair.lr_hsi.load(rows, cols), setup.hsi_range.scaling)
    hr_msi = _tensor(setup.pair.hr_msi.load(fine_rows, fine_cols), setup.msi_range.scaling)
    images = blanked(fused, lr_hsi, hr_msi, torch.from_numpy(cube[0]).isnan())
    spectral, spatial = d_lambda(*images[:2]), d_s(*images, sensors)
    return {
        "d_lambda": float(spectral),
        "d_s": float(spatial),
        "qnr": float(combined(spectral, spatial)),
        "side": max(fused.shape[1:]),
    }


def _tensor(values: Array, scaling: float) -> Tensor:
    return (torch.from_numpy(values).nan_to_num(0) / scaling).clamp(0, 1)


def _middle(size: int, most: int) -> slice:
    length = min(size, most)
    return slice((size - length) // 2, (size - length) // 2 + length)
