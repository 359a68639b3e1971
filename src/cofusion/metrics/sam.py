"""Spectral angle."""

import torch
import torch.nn.functional as F
from torch import Tensor

from cofusion.metrics.base import MeanOverImages, check_pair

# Values held in float64 at a time: whole scenes are walked through in blocks of rows.
_BLOCK = 2**20


def sam(fused: Tensor, reference: Tensor) -> Tensor:
    """Return the mean spectral angle of each image in degrees, 0 to 180; lower is better.

    The spectral angle mapper of Yuhas, Goetz and Boardman (JPL Airborne Geoscience Workshop, 1992): the angle
    between the fused and the reference spectrum of a pixel, averaged over the pixels.

    Conventions:
        - A pixel whose reference spectrum is zero has no angle and is left out of the mean. An image of which
          no pixel remains gives 0.
        - A fused spectrum of zero where the reference is not zero counts as 90 degrees.
        - Computed in float64 as `2 atan2(|f - r|, |f + r|)` of the unit spectra (Kahan, "How futile are
          mindless assessments of roundoff", 2006): exactly 0 for identical spectra and accurate for small
          angles, where the arc cosine is not.

    Args:
        fused: (C, H, W) or (B, C, H, W).
        reference: The same shape.

    Returns:
        A float64 scalar or (B,).

    Raises:
        UserError: The shapes are unfit.
    """
    check_pair(fused, reference)
    rows = max(1, _BLOCK * fused.shape[-2] // fused.numel())
    blocks = zip(torch.split(fused, rows, -2), torch.split(reference, rows, -2), strict=True)
    sums = [_angles(f, r) for f, r in blocks]
    angles, pixels = (torch.stack(parts).sum(0) for parts in zip(*sums, strict=True))
    return angles / pixels.clamp(min=1)


def _angles(fused: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum of the angles in degrees and the number of pixels that have one."""
    fused, reference = _unit(fused), _unit(reference)
    half = torch.atan2((fused - reference).norm(dim=-3), (fused + reference).norm(dim=-3))
    valid = reference.any(-3)
    angles = torch.where(valid, half.rad2deg() * 2, 0.0)
    return angles.sum((-2, -1)), valid.sum((-2, -1))


def _unit(spectra: Tensor) -> Tensor:
    """Scale every spectrum to length 1; a zero spectrum stays zero."""
    return F.normalize(spectra.double(), dim=-3, eps=torch.finfo(torch.float64).tiny)


class SAM(MeanOverImages):
    """The mean over images of `sam`, in degrees."""

    higher_is_better = False

    def per_image(self, fused: Tensor, reference: Tensor) -> Tensor:
        """Return `sam` of each image."""
        return sam(fused, reference)
