"""The metrics that every result of the project holds, in their order."""

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor

from cofusion.metrics.consistency import hr_msi_error, lr_hsi_error
from cofusion.metrics.d_lambda import d_lambda
from cofusion.metrics.d_s import d_s
from cofusion.metrics.ergas import ergas, ergas_100_4
from cofusion.metrics.psnr import psnr
from cofusion.metrics.qnr import blanked, combined
from cofusion.metrics.sam import sam
from cofusion.metrics.ssim import ssim
from cofusion.sensors import Sensors


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


def no_reference_scores(
    fused: Tensor, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors, nodata: Tensor | None = None
) -> dict[str, Tensor]:
    """Return `NO_REFERENCE_METRICS` of each image by name; D_lambda and D_s are computed once for all.

    Args:
        fused: (C, H, W) or (B, C, H, W).
        lr_hsi: (C, h, w) or (B, C, h, w), where H / h and W / w are the sensors' scale.
        hr_msi: (c, H, W) or (B, c, H, W).
        sensors: What the pair was taken with.
        nodata: (H, W) or (B, H, W) bool, where one of the pair has no data: there D_lambda and D_s take zeros
            in all three images. The consistency errors take what the images were filled with.

    Returns:
        A float64 scalar or (B,) for each metric.

    Raises:
        UserError: The images or the sensors do not fit together.
    """
    pair = (fused, lr_hsi, hr_msi)
    whole = pair if nodata is None else blanked(*pair, nodata)
    spectral, spatial = d_lambda(*whole[:2]), d_s(*whole, sensors)
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
