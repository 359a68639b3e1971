"""QNR, quality with no reference."""

from typing import Any

import torch
from torch import Tensor

from cofusion.metrics.base import MeanOverImages
from cofusion.metrics.d_lambda import d_lambda
from cofusion.metrics.d_s import Pairs, d_s
from cofusion.metrics.uqi import WINDOW
from cofusion.sensors import Sensors


def qnr(
    fused: Tensor,
    lr_hsi: Tensor,
    hr_msi: Tensor,
    sensors: Sensors,
    pairs: Pairs = "matched",
    window: int = WINDOW,
) -> Tensor:
    """Return the quality with no reference of each image, at most 1; higher is better.

    `(1 - D_lambda) (1 - D_s)` (Alparone et al., Photogrammetric Engineering & Remote Sensing 74(2), 2008,
    with both exponents 1) of `d_lambda` and `d_s`, where the conventions are. The mean over images is
    that of their QNR, not the product of the means.

    Args:
        fused: (C, H, W) or (B, C, H, W).
        lr_hsi: (C, h, w) or (B, C, h, w), where H / h and W / w are the sensors' scale.
        hr_msi: (c, H, W) or (B, c, H, W).
        sensors: What the LRHSI was taken with; the response plays no part.
        pairs: `"matched"` or `"all"`, as for `d_s`.
        window: Side of a window in pixels of the fused image, at least 2.

    Returns:
        A float64 scalar or (B,).

    Raises:
        UserError: As for `d_lambda` and `d_s`.
    """
    return combined(d_lambda(fused, lr_hsi, window), d_s(fused, lr_hsi, hr_msi, sensors, pairs, window))


def combined(d_lambda: Tensor, d_s: Tensor) -> Tensor:
    """Return QNR of the two distortions."""
    return (1 - d_lambda) * (1 - d_s)


def blanked(fused: Tensor, lr_hsi: Tensor, hr_msi: Tensor, nodata: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the three images with zeros in all of them where one has no data, so that they are alike there.

    Args:
        fused: (..., C, H, W).
        lr_hsi: (..., C, h, w); a pixel is blanked where its whole block is without data.
        hr_msi: (..., c, H, W).
        nodata: (..., H, W) bool.
    """
    scale = fused.shape[-1] // lr_hsi.shape[-1]
    rows = torch.unflatten(nodata, -2, (-1, scale)).all(-2)
    blocks = torch.unflatten(rows, -1, (-1, scale)).all(-1)
    masks = (nodata, blocks, nodata)
    fused, lr_hsi, hr_msi = (
        image.masked_fill(mask.unsqueeze(-3), 0.0)
        for image, mask in zip((fused, lr_hsi, hr_msi), masks, strict=True)
    )
    return fused, lr_hsi, hr_msi


class QNR(MeanOverImages):
    """The mean over images of `qnr`.

    Args:
        sensors: What the LRHSI was taken with.
        pairs: `"matched"` or `"all"`, as for `d_s`.
        window: Side of a window in pixels of the fused image.
        kwargs: Arguments of `torchmetrics.Metric`.
    """

    higher_is_better = True

    def __init__(
        self, sensors: Sensors, pairs: Pairs = "matched", window: int = WINDOW, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.sensors = sensors
        self.pairs: Pairs = pairs
        self.window = window

    def per_image(self, fused: Tensor, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Return `qnr` of each image."""
        return qnr(fused, lr_hsi, hr_msi, self.sensors, self.pairs, self.window)
