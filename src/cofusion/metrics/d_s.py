"""D_s, the spatial distortion index, for a guide of several bands."""

from typing import Any, Literal

import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.metrics.base import MeanOverImages, check_guide, check_scaled
from cofusion.metrics.degraded import lr_image
from cofusion.metrics.uqi import EPSILON, WINDOW, band_qualities, window_sides
from cofusion.sensors import Sensors

Pairs = Literal["matched", "all"]


def d_s(
    fused: Tensor,
    lr_hsi: Tensor,
    hr_msi: Tensor,
    sensors: Sensors,
    pairs: Pairs = "matched",
    window: int = WINDOW,
) -> Tensor:
    """Return the spatial distortion of each image, 0 to 2; lower is better. It needs no reference.

    How much the likeness of hyperspectral and multispectral bands changed by the fusion: the mean over the
    hyperspectral bands b of `|Q(F_b, Y_m) - Q(X_b, Ylow_m)|`, of the fused image F and the HRMSI Y at full
    and of the LRHSI X and the degraded HRMSI Ylow at low resolution. With one multispectral band this is the
    index of Alparone et al. (Photogrammetric Engineering & Remote Sensing 74(2), 2008) with q = 1.

    Conventions:
        - The index was made for one panchromatic band, and no publication known to us defines it for several.
          Here, `"matched"` takes for every b the one multispectral band m that has the highest correlation
          with b at low resolution (the first, where b or all of them are flat); it depends on the data alone
          and not on the fusion. `"all"` is the mean over all pairs of a hyperspectral and a multispectral
          band.
        - Ylow is made with the sensors' PSF, scale and phase, those of the LRHSI, and edge pixels repeated
          beyond the image. DLPan and torchmetrics have filters of their own there.
        - Q and its windows are as in `d_lambda`. Computed in float64.

    Args:
        fused: (C, H, W) or (B, C, H, W).
        lr_hsi: (C, h, w) or (B, C, h, w), where H / h and W / w are the sensors' scale.
        hr_msi: (c, H, W) or (B, c, H, W).
        sensors: What the LRHSI was taken with; the response plays no part.
        pairs: `"matched"` or `"all"`.
        window: Side of a window in pixels of the fused image, at least 2.

    Returns:
        A float64 scalar or (B,).

    Raises:
        UserError: The shapes or the sensors' scale are unfit, `pairs` is unknown, or the window is smaller
            than 2.
    """
    scale = check_scaled(fused, lr_hsi, sensors.scale)
    check_guide(fused, hr_msi)
    if pairs not in ("matched", "all"):
        raise UserError(f"d_s got pairs {pairs!r}: give 'matched' or 'all'")
    if fused.ndim == 4:
        images = zip(fused, lr_hsi, hr_msi, strict=True)
        return torch.stack([d_s(*three, sensors, pairs, window) for three in images])
    low = window_sides(lr_hsi.shape[-2:], scale, window)
    high = [scale * side for side in low]
    lr_msi = lr_image(hr_msi, sensors)
    change = (band_qualities(fused, hr_msi, high) - band_qualities(lr_hsi, lr_msi, low)).abs()
    if pairs == "matched":
        change = change.gather(1, matched_bands(lr_hsi, lr_msi)[:, None])
    return change.mean()


def matched_bands(lr_hsi: Tensor, lr_msi: Tensor) -> Tensor:
    """Return (C,) the multispectral band that every hyperspectral band is most correlated with.

    Args:
        lr_hsi: (C, h, w).
        lr_msi: (c, h, w).
    """
    x, y = (image.flatten(1).double() for image in (lr_hsi, lr_msi))
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    # The norm of x is left out: a factor that all of a row share does not move its largest value.
    power = y.square().sum(1)
    return torch.where(power > EPSILON * y.shape[1], x @ y.T / power.sqrt(), 0.0).argmax(1)


class DS(MeanOverImages):
    """The mean over images of `d_s`.

    Args:
        sensors: What the LRHSI was taken with.
        pairs: `"matched"` or `"all"`, as for `d_s`.
        window: Side of a window in pixels of the fused image.
        kwargs: Arguments of `torchmetrics.Metric`.
    """

    higher_is_better = False

    def __init__(
        self, sensors: Sensors, pairs: Pairs = "matched", window: int = WINDOW, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.sensors = sensors
        self.pairs: Pairs = pairs
        self.window = window

    def per_image(self, fused: Tensor, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Return `d_s` of each image."""
        return d_s(fused, lr_hsi, hr_msi, self.sensors, self.pairs, self.window)
