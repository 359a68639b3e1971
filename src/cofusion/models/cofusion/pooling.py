"""Pooled statistics: over the whole image, as the paper has them, or in windows that no tiling changes.

SpeCAM and SSCFM weigh channels by the largest value of each feature map (Algorithm 1, line 2; section 3.4).
Over a whole image that maximum depends on what else is in the image, so two tiles of a scene disagree where
they meet. With an `extent`, maxima are taken in windows of that side, half an extent apart; the channel
weights found in the windows are interpolated between their centres. What a pixel receives then depends on
its surroundings alone, and tiles whose corners lie on multiples of half an extent agree.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def pool_max(f: Tensor, extent: int | None) -> Tensor:
    """Take the maximum of every channel.

    Args:
        f: Features `(B, D, H, W)`.
        extent: Side of the windows in pixels of `f`, even; None takes the whole image.

    Returns:
        `(B, D, 1, 1)`; with an extent `(B, D, n + 1, m + 1)`, where half an extent fits n times into the
        rows and m times into the columns, rounded up. Window `(i, j)` is centred on the corner `i, j` of
        that grid; at the image's border it is cut.
    """
    if extent is None:
        return f.amax((2, 3), keepdim=True)
    cells = F.max_pool2d(f, extent // 2, ceil_mode=True)
    return F.max_pool2d(cells, 2, stride=1, padding=1)


def per_position(function: Callable[[Tensor], Tensor], v: Tensor) -> Tensor:
    """Apply a function of channel vectors, `(N, D) -> (N, E)`, at every position of `v (B, D, n, m)`."""
    batch, _, rows, cols = v.shape
    vectors = v.permute(0, 2, 3, 1).flatten(0, 2)
    return torch.unflatten(function(vectors), 0, (batch, rows, cols)).permute(0, 3, 1, 2)


def spread(weights: Tensor, extent: int | None, like: Tensor) -> Tensor:
    """Bring the weights of windows back to pixels.

    Args:
        weights: As found from the result of `pool_max`, `(B, E, 1, 1)` or `(B, E, n + 1, m + 1)`.
        extent: As given to `pool_max`.
        like: The features that were pooled, `(B, D, H, W)`.

    Returns:
        What broadcasts over `like`: the weights themselves, or `(B, E, H, W)`, interpolated bilinearly.
    """
    if extent is None:
        return weights
    cell = extent // 2
    rows, cols = like.shape[-2:]
    size = (weights.shape[-2] * cell, weights.shape[-1] * cell)
    # Interpolation puts a sample at the middle of its cell; the windows' centres are the cells' corners.
    fine = F.interpolate(weights, size=size, mode="bilinear", align_corners=False)
    return fine[..., cell // 2 : cell // 2 + rows, cell // 2 : cell // 2 + cols]
