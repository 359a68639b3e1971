"""QNR, quality with no reference."""

from typing import Any

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
