"""ERGAS, the relative dimensionless global error in synthesis."""

from typing import Any

import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.metrics.base import MeanOverImages, check_pair, squared_error


def ergas(fused: Tensor, reference: Tensor, scale: float) -> Tensor:
    """Return the ERGAS of each image, without unit; lower is better.

    `100 / scale · sqrt(mean over bands of (RMSE_b / mean_b)²)` with the band means of the reference (Wald,
    "Quality of high resolution synthesised images: is there a simple criterion?", 2000; there h/l = 1/scale).

    Conventions:
        - The factor is 100 / scale. Much of the field writes 100 / 4 at every scale: that is `ergas_100_4`.
        - A dead band (reference mean 0) has no relative error and is left out of the mean over bands. An
          image of which no band remains gives 0.
        - Computed in float64, over the whole image given: the mean over patches is another number.

    Args:
        fused: (C, H, W) or (B, C, H, W).
        reference: The same shape.
        scale: The ratio of the pixel sizes of LRHSI and HRMSI.

    Returns:
        A float64 scalar or (B,).

    Raises:
        UserError: The shapes are unfit, or the scale is not positive.
    """
    check_pair(fused, reference)
    if not scale > 0:
        raise UserError(f"ergas got scale {scale!r}: give the ratio of the pixel sizes, for example 4")
    mean = torch.stack([band.mean((-2, -1), dtype=torch.float64) for band in reference.unbind(-3)], -1)
    alive = mean != 0
    relative = torch.where(alive, squared_error(fused, reference) / mean.square(), 0.0)
    return 100 / scale * (relative.sum(-1) / alive.sum(-1).clamp(min=1)).sqrt()


def ergas_100_4(fused: Tensor, reference: Tensor) -> Tensor:
    """Return ERGAS with the factor 100 / 4 whatever the scale; all else is as in `ergas`.

    Much of the field's code has this factor, and the ERGAS values of the paper's Table 1 fit it.
    """
    return ergas(fused, reference, 4)


class ERGAS(MeanOverImages):
    """The mean over images of `ergas`.

    Args:
        scale: The ratio of the pixel sizes of LRHSI and HRMSI; 4 at every scale gives `ergas_100_4`.
        kwargs: Arguments of `torchmetrics.Metric`.
    """

    higher_is_better = False

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def per_image(self, fused: Tensor, reference: Tensor) -> Tensor:
        """Return `ergas` of each image."""
        return ergas(fused, reference, self.scale)
