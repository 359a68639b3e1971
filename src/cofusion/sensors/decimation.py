"""Decimation with an explicit phase, and interpolation that knows it.

Keeping one pixel of every `scale` x `scale` block places low-resolution sample `i` at the full-resolution
coordinate `i * scale + phase`. `phase = 0` keeps each block's first pixel; `phase = (scale - 1) / 2` is the
block's centre, which is what `torch.nn.functional.interpolate(align_corners=False)` assumes. With an even
PSF a sample may sit half a pixel after the block's last one, `phase = scale - 0.5`.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from cofusion.errors import UserError

Mode = Literal["bilinear", "bicubic"]

# Keys' cubic convolution kernel with the coefficient that torch, OpenCV and MATLAB's neighbours use.
_CUBIC_A = -0.75
# The taps of an output sample lie at most two low-resolution samples to either side of its block.
_REACH = 2


def centre_phase(scale: int) -> float:
    """Return the phase of a block's centre, `(scale - 1) / 2`."""
    return (scale - 1) / 2


def decimate(image: Tensor, scale: int, phase: int = 0) -> Tensor:
    """Keep rows and columns `phase, phase + scale, ...`.

    Args:
        image: `(..., rows, cols)`; rows and columns beyond the last whole block are left out.
        scale: Integer factor, at least 2.
        phase: The kept position inside each block, `0 <= phase < scale`.

    Returns:
        `(..., rows // scale, cols // scale)`.

    Raises:
        UserError: The phase lies outside the block.
    """
    if not 0 <= phase < scale:
        raise UserError(f"phase {phase} lies outside a block of scale {scale}; give 0 to {scale - 1}")
    rows, cols = image.shape[-2] // scale * scale, image.shape[-1] // scale * scale
    return image[..., phase:rows:scale, phase:cols:scale]


def upsample(lr: Tensor, scale: int, phase: float, mode: Mode = "bicubic") -> Tensor:
    """Interpolate so that sample `i` returns to the coordinate `i * scale + phase`.

    At the block-centre phase this equals `torch.nn.functional.interpolate(align_corners=False)`. Borders are
    replicated. Differentiable; the sizes may be symbolic (`torch.export`).

    Args:
        lr: `(B, bands, h, w)`.
        scale: Integer factor.
        phase: Where each low-resolution sample sits in its block, in full-resolution pixels; may be
            fractional, `0 <= phase <= scale - 0.5`.
        mode: `bicubic` (Keys, a = -0.75) or `bilinear`.

    Returns:
        `(B, bands, h * scale, w * scale)`, in channels_last memory.
    """
    if not 0 <= phase <= scale - 0.5:
        raise UserError(f"phase {phase} lies outside a block of scale {scale}; give 0 to {scale - 0.5:g}")
    return interpolate(lr, *(_interpolation(size, scale, phase, mode, lr) for size in lr.shape[-2:]))


def interpolate(image: Tensor, along_rows: Tensor, along_cols: Tensor) -> Tensor:
    """Interpolate an image by one matrix for each axis, in the image's own precision.

    Args:
        image: `(B, bands, h, w)`.
        along_rows: `(H, h)`.
        along_cols: `(W, w)`.

    Returns:
        `(B, bands, H, W)`, in channels_last memory.
    """
    # Under mixed precision, interpolated reflectances would be rounded to three digits.
    with torch.autocast(image.device.type, enabled=False):
        # Two matrix products with all bands of a pixel side by side, several times as fast as filtering.
        pixels = image.permute(0, 2, 3, 1).contiguous()
        fine = along_rows @ (along_cols @ pixels).flatten(2)
        return torch.unflatten(fine, 2, (-1, image.shape[1])).permute(0, 3, 1, 2)


def _interpolation(length: int, scale: int, phase: float, mode: Mode, like: Tensor) -> Tensor:
    """Return the matrix `(length * scale, length)` that interpolates a line of samples."""
    weights = torch.tensor(_polyphase_weights(scale, phase, mode), dtype=like.dtype, device=like.device)
    taps = torch.arange(-_REACH, _REACH + 1, device=like.device)
    # Beyond the border, a tap reads the border's sample.
    samples = (torch.arange(length, device=like.device)[:, None, None] + taps).clamp(0, length - 1)
    matrix = weights.new_zeros(length, scale, length)
    matrix.scatter_add_(2, samples.expand(-1, scale, -1), weights.expand(length, -1, -1))
    return matrix.flatten(0, 1)


def _polyphase_weights(scale: int, phase: float, mode: Mode) -> list[list[float]]:
    """Return, for every position inside a block, the weights of the samples `-2 ... 2` around its block."""
    kernel = _cubic if mode == "bicubic" else _linear
    positions = [(r - phase) / scale for r in range(scale)]
    return [[kernel(position - tap) for tap in range(-_REACH, _REACH + 1)] for position in positions]


def _linear(distance: float) -> float:
    return max(0.0, 1.0 - abs(distance))


def _cubic(distance: float) -> float:
    t = math.fabs(distance)
    if t <= 1:
        return (_CUBIC_A + 2) * t**3 - (_CUBIC_A + 3) * t**2 + 1
    if t < 2:
        return _CUBIC_A * (t**3 - 5 * t**2 + 8 * t - 4)
    return 0.0
