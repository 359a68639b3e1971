"""D_lambda, the spectral distortion index."""

from typing import Any

import torch
from torch import Tensor

from cofusion.metrics.base import MeanOverImages, check_scaled
from cofusion.metrics.uqi import WINDOW, band_qualities, window_sides


def d_lambda(fused: Tensor, lr_hsi: Tensor, window: int = WINDOW) -> Tensor:
    """Return the spectral distortion of each image, 0 to 2; lower is better. It needs no reference.

    How much the likeness between bands changed by the fusion: the mean over all pairs of bands of
    `|Q(F_i, F_j) - Q(X_i, X_j)|`, of the fused image F at full and of the LRHSI X at its own low resolution
    (Alparone et al., "Multispectral and panchromatic data fusion assessment without reference",
    Photogrammetric Engineering & Remote Sensing 74(2), 2008, with p = 1).

    Conventions:
        - Q is the universal image quality index as in `cofusion.metrics.uqi`: its mean over disjoint windows,
          before the difference is taken.
        - Windows cover the same ground at both resolutions: 32 pixels of the fused image and 32 / scale of
          the LRHSI (see `window_sides`). On windows of equal pixels the likeness of small things would be
          compared with that of large ones, and a perfect image be called distorted. An image smaller than a
          window is one window.
        - An image of a single band has no pairs and gives 0.
        - Computed in float64.

    Args:
        fused: (C, H, W) or (B, C, H, W).
        lr_hsi: (C, h, w) or (B, C, h, w), where H / h and W / w are the same whole number.
        window: Side of a window in pixels of the fused image, at least 2.

    Returns:
        A float64 scalar or (B,).

    Raises:
        UserError: The shapes are unfit, or the window is smaller than 2.
    """
    scale = check_scaled(fused, lr_hsi)
    if fused.ndim == 4:
        return torch.stack([d_lambda(*pair, window) for pair in zip(fused, lr_hsi, strict=True)])
    low = window_sides(lr_hsi.shape[-2:], scale, window)
    high = [scale * side for side in low]
    change = (band_qualities(fused, fused, high) - band_qualities(lr_hsi, lr_hsi, low)).abs()
    bands = len(fused)
    pairs = ~torch.eye(bands, dtype=torch.bool, device=change.device)
    return change[pairs].sum() / max(1, bands * (bands - 1))


class DLambda(MeanOverImages):
    """The mean over images of `d_lambda`.

    Args:
        window: Side of a window in pixels of the fused image.
        kwargs: Arguments of `torchmetrics.Metric`.
    """

    higher_is_better = False

    def __init__(self, window: int = WINDOW, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = window

    def per_image(self, fused: Tensor, lr_hsi: Tensor) -> Tensor:
        """Return `d_lambda` of each image."""
        return d_lambda(fused, lr_hsi, self.window)
