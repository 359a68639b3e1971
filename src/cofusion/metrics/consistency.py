"""Consistency: whether the sensors would have seen, in the fused image, the pair that it was made of."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.metrics.base import MeanOverImages, check_guide, check_scaled
from cofusion.metrics.degraded import inside, lr_groups, msi_blocks
from cofusion.sensors import Sensors


def lr_hsi_error(fused: Tensor, lr_hsi: Tensor, sensors: Sensors) -> Tensor:
    """Return how far each fused image, degraded, is from the LRHSI, in percent; lower is better.

    The relative root-mean-square error `100 · |H F - X| / |X|` over all bands and pixels, where H blurs and
    decimates: the consistency property of Wald, Ranchin and Mangolini (Photogrammetric Engineering & Remote
    Sensing 63(6), 1997). It needs no reference, and by itself says nothing about detail: interpolation is
    good at it.

    Conventions:
        - Low-resolution pixels that a blur mixes with what lies beyond the image are left out, unless all
          are such.
        - Noise of the LRHSI counts as error, also for a perfect image.
        - Where the LRHSI is zero everywhere there is nothing to relate to; the error is then in percent of 1,
          the top of the range.
        - Computed in float64.

    Args:
        fused: (C, H, W) or (B, C, H, W).
        lr_hsi: (C, h, w) or (B, C, h, w), where H / h and W / w are the sensors' scale.
        sensors: What the LRHSI was taken with.

    Returns:
        A float64 scalar or (B,).

    Raises:
        UserError: The shapes or the sensors' scale are unfit.
    """
    check_scaled(fused, lr_hsi, sensors.scale)
    if fused.ndim == 4:
        return torch.stack([lr_hsi_error(*pair, sensors) for pair in zip(fused, lr_hsi, strict=True)])
    groups = (
        (inside(seen, sensors), inside(lr_hsi[bands], sensors)) for bands, seen in lr_groups(fused, sensors)
    )
    return _percent(groups)


def hr_msi_error(fused: Tensor, hr_msi: Tensor, sensors: Sensors) -> Tensor:
    """Return how far each fused image, seen through the response, is from the HRMSI, in percent.

    As `lr_hsi_error`, with `100 · |R F - Y| / |Y|` where R sums the bands with the spectral response; every
    pixel counts. Lower is better.

    Args:
        fused: (C, H, W) or (B, C, H, W).
        hr_msi: (c, H, W) or (B, c, H, W).
        sensors: What the HRMSI was taken with; only the response plays a part.

    Returns:
        A float64 scalar or (B,).

    Raises:
        UserError: The shapes are unfit, or the response is for other bands.
    """
    check_guide(fused, hr_msi)
    if hr_msi.shape[-3] != sensors.response.msi_bands:
        response = sensors.response
        raise UserError(
            f"hr_msi {tuple(hr_msi.shape)} has {hr_msi.shape[-3]} bands, response {response.source!r} gives "
            f"{response.msi_bands}: give the sensors of this pair"
        )
    if fused.ndim == 4:
        return torch.stack([hr_msi_error(*pair, sensors) for pair in zip(fused, hr_msi, strict=True)])
    return _percent(msi_blocks(fused, hr_msi, sensors))


def _percent(parts: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the relative error of what is seen against what it should be, both given part by part."""
    sums, values = [], 0
    for seen, image in parts:
        sums.append(torch.stack([(seen - image).square().sum(), image.double().square().sum()]))
        values += image.numel()
    error, power = torch.stack(sums).sum(0)
    relative: Tensor = error / torch.where(power == 0, float(values), power)
    return 100 * relative.sqrt()


class LRHSIError(MeanOverImages):
    """The mean over images of `lr_hsi_error`, in percent.

    Args:
        sensors: What the LRHSI was taken with.
        kwargs: Arguments of `torchmetrics.Metric`.
    """

    higher_is_better = False

    def __init__(self, sensors: Sensors, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sensors = sensors

    def per_image(self, fused: Tensor, lr_hsi: Tensor) -> Tensor:
        """Return `lr_hsi_error` of each image."""
        return lr_hsi_error(fused, lr_hsi, self.sensors)


class HRMSIError(MeanOverImages):
    """The mean over images of `hr_msi_error`, in percent.

    Args:
        sensors: What the HRMSI was taken with.
        kwargs: Arguments of `torchmetrics.Metric`.
    """

    higher_is_better = False

    def __init__(self, sensors: Sensors, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sensors = sensors

    def per_image(self, fused: Tensor, hr_msi: Tensor) -> Tensor:
        """Return `hr_msi_error` of each image."""
        return hr_msi_error(fused, hr_msi, self.sensors)
