"""The metrics that every result of the project holds, in their order, with their labels."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from cofusion.metrics.ergas import ergas, ergas_100_4
from cofusion.metrics.psnr import psnr
from cofusion.metrics.sam import sam
from cofusion.metrics.ssim import ssim

# The four that the field's tables have; results hold the other conventions too.
MAIN_METRICS = ("psnr", "ssim", "sam", "ergas")

LABELS = {
    "psnr": "PSNR (dB)",
    "psnr_max": "PSNR, peak max (dB)",
    "ssim": "SSIM",
    "sam": "SAM (°)",
    "ergas": "ERGAS",
    "ergas_100_4": "ERGAS (100/4)",
}

HIGHER_IS_BETTER = {
    "psnr": True,
    "psnr_max": True,
    "ssim": True,
    "sam": False,
    "ergas": False,
    "ergas_100_4": False,
}


def fusion_metrics(scale: float) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Return the metrics of a result by name, in the order in which results list them.

    Each is a function of (fused, reference) and returns one value per image. `psnr` has peak 1, `psnr_max`
    the reference's own maximum; `ergas` has the factor 100 / scale, `ergas_100_4` 100 / 4.

    Args:
        scale: The ratio of the pixel sizes of LRHSI and HRMSI.
    """
    return {
        "psnr": psnr,
        "psnr_max": partial(psnr, peak="max"),
        "ssim": ssim,
        "sam": sam,
        "ergas": partial(ergas, scale=scale),
        "ergas_100_4": ergas_100_4,
    }
