"""What the metrics share: the checks of their inputs, the error per band, and the mean over images."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from cofusion.errors import UserError


def check_pair(fused: Tensor, reference: Tensor) -> None:
    """Refuse two tensors that are not a pair of cubes or a pair of batches of cubes.

    Raises:
        UserError: The shapes differ, or are neither (C, H, W) nor (B, C, H, W), or hold no value.
    """
    given = f"fused {tuple(fused.shape)} and reference {tuple(reference.shape)}"
    if fused.shape != reference.shape:
        raise UserError(f"{given} differ in shape: give both as (C, H, W) or both as (B, C, H, W)")
    if fused.ndim not in (3, 4) or fused.numel() == 0:
        raise UserError(f"{given} are no images: give both as (C, H, W) or both as (B, C, H, W)")


def check_scaled(fused: Tensor, lr_hsi: Tensor, expected: int | None = None) -> int:
    """Refuse a fused image that is not the low-resolution one at a whole scale, and return that scale.

    Args:
        fused: (C, H, W) or (B, C, H, W).
        lr_hsi: (C, h, w) or (B, C, h, w).
        expected: The scale of the sensors, where there are any.

    Raises:
        UserError: They are no images, or differ in bands, images or the scale of rows and columns, or the
            scale is not the expected one.
    """
    given = f"fused {tuple(fused.shape)} and lr_hsi {tuple(lr_hsi.shape)}"
    if {fused.ndim, lr_hsi.ndim} not in ({3}, {4}) or not (fused.numel() and lr_hsi.numel()):
        raise UserError(f"{given} are no images: give both as (C, H, W) or both as (B, C, H, W)")
    scale = fused.shape[-1] // lr_hsi.shape[-1]
    if fused.shape != (*lr_hsi.shape[:-2], *(scale * side for side in lr_hsi.shape[-2:])):
        raise UserError(f"{given} do not fit: give the same bands, and rows and columns in one whole ratio")
    if expected not in (None, scale):
        raise UserError(f"{given} are at scale {scale}, the sensors at {expected}: give those of this pair")
    return scale


def check_guide(fused: Tensor, hr_msi: Tensor) -> None:
    """Refuse a multispectral image that does not have the fused image's pixels.

    Args:
        fused: (C, H, W) or (B, C, H, W).
        hr_msi: (c, H, W) or (B, c, H, W).

    Raises:
        UserError: They are no images, or differ in more than their bands.
    """
    given = f"fused {tuple(fused.shape)} and hr_msi {tuple(hr_msi.shape)}"
    if {fused.ndim, hr_msi.ndim} not in ({3}, {4}) or not (fused.numel() and hr_msi.numel()):
        raise UserError(f"{given} are no images: give both as (C, H, W) or both as (B, C, H, W)")
    if fused.movedim(-3, 0)[0].shape != hr_msi.movedim(-3, 0)[0].shape:
        raise UserError(f"{given} do not fit: give the same images, rows and columns")


def squared_error(fused: Tensor, reference: Tensor) -> Tensor:
    """Return the mean squared error of every band in float64.

    One band at a time is held in float64, so that a whole scene needs no second copy of itself.

    Args:
        fused: (C, H, W) or (B, C, H, W).
        reference: The same shape.

    Returns:
        (C,) or (B, C).
    """
    bands = zip(fused.unbind(-3), reference.unbind(-3), strict=True)
    return torch.stack([(f.double() - r.double()).square().mean((-2, -1)) for f, r in bands], -1)


class MeanOverImages(Metric, ABC):
    """The mean of a per-image metric over all images seen, in all processes.

    Every image counts once, whatever its size or batch. Two scalars are kept (a float64 sum and the number of
    images), never an image. Images are (C, H, W) or (B, C, H, W).
    """

    is_differentiable = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    @abstractmethod
    def per_image(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return one value per image."""

    def update(self, *images: Tensor, **named: Tensor) -> None:
        """Add one image or one batch; the arguments are those of `per_image`."""
        values = self.per_image(*images, **named)
        self.total += values.sum()
        self.count += values.numel()

    def compute(self) -> Tensor:
        """Return the mean over images, a float64 scalar; NaN where there was none."""
        return self.total / self.count
