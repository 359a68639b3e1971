"""What the metrics share: the check of their inputs, the error per band, and the mean over images."""

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
    def per_image(self, fused: Tensor, reference: Tensor) -> Tensor:
        """Return one value per image."""

    def update(self, fused: Tensor, reference: Tensor) -> None:
        """Add one image or one batch."""
        values = self.per_image(fused, reference)
        self.total += values.sum()
        self.count += values.numel()

    def compute(self) -> Tensor:
        """Return the mean over images, a float64 scalar."""
        return self.total / self.count
