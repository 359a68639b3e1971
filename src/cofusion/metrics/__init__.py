"""Quality of a fused image: one definition per metric, with its conventions.

The functions take the fused image as (C, H, W) or (B, C, H, W), and with it the reference or, for those that
need none, the pair that it was made of and the sensors. They return one float64 value per image. The classes
are their means over images, as `torchmetrics.Metric`.
"""

from cofusion.metric_names import HIGHER_IS_BETTER, LABELS, MAIN_METRICS, NO_REFERENCE_METRICS
from cofusion.metrics.consistency import HRMSIError, LRHSIError, hr_msi_error, lr_hsi_error
from cofusion.metrics.d_lambda import DLambda, d_lambda
from cofusion.metrics.d_s import DS, d_s
from cofusion.metrics.ergas import ERGAS, ergas, ergas_100_4
from cofusion.metrics.psnr import PSNR, psnr
from cofusion.metrics.qnr import QNR, qnr
from cofusion.metrics.sam import SAM, sam
from cofusion.metrics.ssim import SSIM, ssim
from cofusion.metrics.table import fusion_metrics, mean_scores, no_reference_scores

__all__ = [
    "DS",
    "ERGAS",
    "HIGHER_IS_BETTER",
    "LABELS",
    "MAIN_METRICS",
    "NO_REFERENCE_METRICS",
    "PSNR",
    "QNR",
    "SAM",
    "SSIM",
    "DLambda",
    "HRMSIError",
    "LRHSIError",
    "d_lambda",
    "d_s",
    "ergas",
    "ergas_100_4",
    "fusion_metrics",
    "hr_msi_error",
    "lr_hsi_error",
    "mean_scores",
    "no_reference_scores",
    "psnr",
    "qnr",
    "sam",
    "ssim",
]
