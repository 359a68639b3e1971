"""Peak signal-to-noise ratio."""

from typing import Any, Literal

import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.metrics.base import MeanOverImages, check_pair, squared_error

# 160 dB: less than float32 can resolve next to the peak.
_MSE_FLOOR = 1e-16


def psnr(fused: Tensor, reference: Tensor, peak: float | Literal["max"] = 1.0) -> Tensor:
    """Return the PSNR of each image in decibels; higher is better.

    `10 log10(peak² / MSE)` with one MSE over all bands and pixels of the image (not the mean of the bands'
    PSNRs), as in the public code of PSRT and SSR-NET.

    Conventions:
        - Peak: 1, the top of the [0, 1] range, or `"max"`, the reference image's own largest value. A
          reference without a positive value has no peak of its own; 1 is used.
        - The MSE is at least 1e-16 peak², so identical images give 160 dB.
        - Computed in float64.

    Args:
        fused: (C, H, W) or (B, C, H, W).
        reference: The same shape.
        peak: A positive number or `"max"`.

    Returns:
        A float64 scalar or (B,).

    Raises:
        UserError: The shapes are unfit, or the peak is neither positive nor `"max"`.
    """
    check_pair(fused, reference)
    top = _peak(reference, peak)
    error = squared_error(fused, reference).mean(-1) / top.square()
    return -10 * error.clamp(min=_MSE_FLOOR).log10()


def _peak(reference: Tensor, peak: float | Literal["max"]) -> Tensor:
    if peak == "max":
        top = reference.amax((-3, -2, -1)).double()
        return torch.where(top > 0, top, 1.0)
    if isinstance(peak, str) or not peak > 0:
        raise UserError(f"peak is {peak!r}: give a positive number, or 'max' for the reference's own maximum")
    return torch.as_tensor(peak, dtype=torch.float64, device=reference.device)


class PSNR(MeanOverImages):
    """The mean over images of `psnr`, in decibels.

    Args:
        peak: A positive number or `"max"`, as for `psnr`.
        kwargs: Arguments of `torchmetrics.Metric`.
    """

    higher_is_better = True

    def __init__(self, peak: float | Literal["max"] = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.peak = peak

    def per_image(self, fused: Tensor, reference: Tensor) -> Tensor:
        """Return `psnr` of each image."""
        return psnr(fused, reference, self.peak)
