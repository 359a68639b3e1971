"""Quality of a fused image against its reference: one definition per metric, with its conventions.

The functions take (fused, reference) as (C, H, W) or (B, C, H, W) and return one float64 value per image. The
classes are their means over images, as `torchmetrics.Metric`.
"""

from cofusion.metrics.ergas import ERGAS, ergas, ergas_100_4
from cofusion.metrics.psnr import PSNR, psnr
from cofusion.metrics.sam import SAM, sam
from cofusion.metrics.ssim import SSIM, ssim
from cofusion.metrics.table import HIGHER_IS_BETTER, LABELS, MAIN_METRICS, fusion_metrics

__all__ = [
    "ERGAS",
    "HIGHER_IS_BETTER",
    "LABELS",
    "MAIN_METRICS",
    "PSNR",
    "SAM",
    "SSIM",
    "ergas",
    "ergas_100_4",
    "fusion_metrics",
    "psnr",
    "sam",
    "ssim",
]
