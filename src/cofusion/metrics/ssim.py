"""Structural similarity."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cofusion.errors import UserError
from cofusion.metrics.base import MeanOverImages, check_pair

Border = Literal["reflect", "valid"]

_WINDOW = 11
_SIGMA = 1.5
_REACH = _WINDOW // 2
_SMALLEST = {"reflect": _REACH + 1, "valid": _WINDOW}


def ssim(fused: Tensor, reference: Tensor, data_range: float = 1.0, border: Border = "reflect") -> Tensor:
    """Return the SSIM of each image, -1 to 1; higher is better. It is differentiable.

    The index of Wang, Bovik, Sheikh and Simoncelli (IEEE TIP 13(4), 2004, eq. 13) for each band, averaged
    over its pixels and then over the bands.

    Conventions:
        - Window: Gaussian, 11x11, sigma 1.5; K1 = 0.01, K2 = 0.03; population (not sample) covariance.
        - Border: `"reflect"` mirrors the image about its edge pixels, so that every pixel counts; this equals
          `torchmetrics`. `"valid"` uses only windows that lie inside the image, as the authors' code does;
          this equals `skimage` with `gaussian_weights=True, use_sample_covariance=False`.
        - Data range: fixed, 1 for data in [0, 1]; never taken from the images.
        - Identical images give exactly 1, constant and zero bands included.
        - Half precision is computed in float32, also under autocast. The mean is taken in float64.

    Args:
        fused: (C, H, W) or (B, C, H, W).
        reference: The same shape.
        data_range: The distance from the lowest to the highest possible value.
        border: `"reflect"` or `"valid"`.

    Returns:
        A float64 scalar or (B,).

    Raises:
        UserError: The shapes are unfit, the image is smaller than 6x6 (`"reflect"`) or 11x11 (`"valid"`), the
            data range is not positive, or the border is unknown.
    """
    check_pair(fused, reference)
    _check(fused, data_range, border)
    dtype = torch.promote_types(torch.promote_types(fused.dtype, reference.dtype), torch.float32)
    pairs = zip(_band_groups(fused.to(dtype)), _band_groups(reference.to(dtype)), strict=True)
    # Autocast would convolve in half precision, where the variances drown in rounding errors.
    with torch.autocast(fused.device.type, enabled=False):
        similarity = [_band_means(f, r, data_range, border) for f, r in pairs]
    return torch.cat(similarity).reshape(fused.shape[:-2]).mean(-1)


def _check(image: Tensor, data_range: float, border: str) -> None:
    if border not in _SMALLEST:
        raise UserError(f"ssim got border {border!r}: give 'reflect' or 'valid'")
    if not data_range > 0:
        raise UserError(f"ssim got data_range {data_range!r}: give a positive number, 1 for data in [0, 1]")
    rows, cols = image.shape[-2:]
    smallest = _SMALLEST[border]
    if min(rows, cols) < smallest:
        raise UserError(
            f"ssim got images of {rows}x{cols} pixels, but its window with border {border!r} needs "
            f"{smallest}x{smallest} or more: use larger images or patches"
        )


def _band_groups(images: Tensor) -> tuple[Tensor, ...]:
    """Split a batch into groups of bands, each (1, bands, rows, cols).

    A group that fits the processor's cache is filtered about twice as fast as a whole batch, and bounds the
    memory that a whole scene takes. Fewer than four bands would leave the convolution's vector lanes empty.
    A GPU wants more work at once.
    """
    rows, cols = images.shape[-2:]
    pixels = 2**18 if images.device.type == "cpu" else 2**24
    return torch.split(images.reshape(1, -1, rows, cols), max(4, pixels // (rows * cols)), dim=1)


def _band_means(x: Tensor, y: Tensor, data_range: float, border: str) -> Tensor:
    """Return the mean SSIM of every band: (1, bands, rows, cols) twice -> (bands,).

    Written with the sum x + y and the difference x - y: their squared means and variances A and B give
    `2 μx μy = (A - B) / 2` and `μx² + μy² = (A + B) / 2`, and likewise for the covariance. That takes four
    filtered maps instead of five, is exactly 1 where x = y, and never leaves [-1, 1].
    """
    if border == "reflect":
        x, y = (F.pad(image, [_REACH] * 4, mode="reflect") for image in (x, y))
    pair = torch.cat((x + y, x - y), dim=1)
    mean, mean_of_square = _window_mean(torch.cat((pair, pair.square()), dim=1)).chunk(2, dim=1)
    power = mean.square()
    variance = (mean_of_square - power).clamp(min=0)
    luminance = _compare(power, 2 * (0.01 * data_range) ** 2)
    structure = _compare(variance, 2 * (0.03 * data_range) ** 2)
    return (luminance * structure).mean((0, -2, -1), dtype=torch.float64)


def _compare(pair: Tensor, constant: float) -> Tensor:
    """Return (A - B + c) / (A + B + c) of the two halves of the bands."""
    a, b = pair.chunk(2, dim=1)
    return (a - b + constant) / (a + b + constant)


def _window_mean(images: Tensor) -> Tensor:
    """Average every band under the Gaussian window, separably, where the window fits."""
    bands = images.shape[1]
    offset = torch.arange(-_REACH, _REACH + 1, dtype=torch.float64, device=images.device)
    weights = torch.exp(-offset.square() / (2 * _SIGMA**2))
    weights = (weights / weights.sum()).to(images.dtype).expand(bands, 1, 1, _WINDOW)
    down = F.conv2d(images, weights.mT, groups=bands)
    return F.conv2d(down, weights, groups=bands)


class SSIM(MeanOverImages):
    """The mean over images of `ssim`.

    Args:
        data_range: The distance from the lowest to the highest possible value.
        border: `"reflect"` or `"valid"`, as for `ssim`.
        kwargs: Arguments of `torchmetrics.Metric`.
    """

    higher_is_better = True

    def __init__(self, data_range: float = 1.0, border: Border = "reflect", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_range = data_range
        self.border: Border = border

    def per_image(self, fused: Tensor, reference: Tensor) -> Tensor:
        """Return `ssim` of each image."""
        return ssim(fused, reference, self.data_range, self.border)
