"""The training loss of the paper."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cofusion.errors import UserError
from cofusion.metrics.base import check_pair
from cofusion.metrics.ssim import ssim


class FusionLoss(nn.Module):
    """The joint loss of the paper, L1 + ssim_weight · (1 - SSIM) (section 3.5, equations 5 to 8).

    L1 is the mean absolute error over bands and pixels (eq. 5). SSIM is `cofusion.metrics.ssim` with data
    range 1 and reflected borders, averaged over bands and images (eq. 6 and 7). It is the metric that results
    report, and the pixels at a patch's border count like all others. Half precision is computed in float32,
    also under autocast. The gradient is finite everywhere, identical and zero images included.

    Args:
        ssim_weight: The weight λ of the SSIM term (eq. 8); at 0 the loss is L1 alone.

    Raises:
        UserError: The weight is negative.
    """

    def __init__(self, ssim_weight: float = 0.1) -> None:
        super().__init__()
        if not ssim_weight >= 0:
            raise UserError(f"FusionLoss got ssim_weight {ssim_weight!r}: give 0 or more (the paper has 0.1)")
        self.ssim_weight = ssim_weight

    def forward(self, fused: Tensor, reference: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar of float32 or better.

        Args:
            fused: (B, C, H, W), or one image (C, H, W); at least 6x6 pixels for SSIM.
            reference: The same shape.

        Raises:
            UserError: The shapes are unfit.
        """
        check_pair(fused, reference)
        dtype = torch.promote_types(fused.dtype, torch.float32)
        loss = F.l1_loss(fused.to(dtype), reference.to(dtype))
        if self.ssim_weight:
            loss = loss + self.ssim_weight * (1 - ssim(fused, reference).mean()).to(dtype)
        return loss

    def extra_repr(self) -> str:
        """Return the weight for the module's printed form."""
        return f"ssim_weight={self.ssim_weight}"
