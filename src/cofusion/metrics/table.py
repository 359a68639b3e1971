"""The metrics that every result of the project holds, in their order, with their labels."""

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor

from cofusion.metrics.consistency import hr_msi_error, lr_hsi_error
from cofusion.metrics.d_lambda import d_lambda
from cofusion.metrics.d_s import d_s
from cofusion.metrics.ergas import ergas, ergas_100_4
from cofusion.metrics.psnr import psnr
from cofusion.metrics.qnr import combined
from cofusion.metrics.sam import sam
from cofusion.metrics.ssim import ssim
from cofusion.sensors import Sensors

# The four that the field's tables have; results hold the other conventions too.
MAIN_METRICS = ("psnr", "ssim", "sam", "ergas")

# Those that need no reference.
NO_REFERENCE_METRICS = ("d_lambda", "d_s", "qnr", "lr_hsi_error", "hr_msi_error")

LABELS = {
    "psnr": "PSNR (dB)",
    "psnr_max": "PSNR, peak max (dB)",
    "ssim": "SSIM",
    "sam": "SAM (°)",
    "ergas": "ERGAS",
    "ergas_100_4": "ERGAS (100/4)",
    "d_lambda": "D_λ",
    "d_s": "D_s",
    "qnr": "QNR",
    "lr_hsi_error": "LRHSI error (%)",
    "hr_msi_error": "HRMSI error (%)",
}

HIGHER_IS_BETTER = {
    "psnr": True,
    "psnr_max": True,
    "ssim": True,
    "sam": False,
    "ergas": False,
    "ergas_100_4": False,
    "d_lambda": False,
    "d_s": False,
    "qnr": True,
    "lr_hsi_error": False,
    "hr_msi_error": False,
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


def no_reference_scores(fused: Tensor, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> dict[str, Tensor]:
    """Return `NO_REFERENCE_METRICS` of each image by name; D_lambda and D_s are computed once for all.

    Args:
        fused: (C, H, W) or (B, C, H, W).
        lr_hsi: (C, h, w) or (B, C, h, w), where H / h and W / w are the sensors' scale.
        hr_msi: (c, H, W) or (B, c, H, W).
        sensors: What the pair was taken with.

    Returns:
        A float64 scalar or (B,) for each metric.

    Raises:
        UserError: The images or the sensors do not fit together.
    """
    spectral, spatial = d_lambda(fused, lr_hsi), d_s(fused, lr_hsi, hr_msi, sensors)
    return {
        "d_lambda": spectral,
        "d_s": spatial,
        "qnr": combined(spectral, spatial),
        "lr_hsi_error": lr_hsi_error(fused, lr_hsi, sensors),
        "hr_msi_error": hr_msi_error(fused, hr_msi, sensors),
    }


def mean_scores(scenes: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of every metric over the scenes that have it.

    Args:
        scenes: `{scene: {metric: value}}`; a scene without a reference has fewer metrics.
    """
    metrics = dict.fromkeys(metric for scores in scenes.values() for metric in scores)
    values = {
        metric: [scores[metric] for scores in scenes.values() if metric in scores] for metric in metrics
    }
    return {metric: sum(found) / len(found) for metric, found in values.items()}
