"""Deformable convolution (Dai et al., ICCV 2017), by interpolation at moved positions."""

import torch
import torch.nn.functional as F
from torch import Tensor


def deform_conv(x: Tensor, offsets: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve with a filter whose taps are moved, at every pixel, by fractions of pixels.

    Values between pixels are interpolated linearly; beyond the border they are 0.

    Args:
        x: `(B, D, H, W)`.
        offsets: By how many pixels each of the K = side * side taps is moved down and to the right,
            `(B, 2 K, H, W)`: down of the first tap, right of the first, down of the second ...
        weight: `(out, D, side, side)`, the side odd.
        bias: `(out,)`; none where left out.

    Returns:
        `(B, out, H, W)`.
    """
    rows, cols = x.shape[2:]
    side = weight.shape[-1]
    # Half precision cannot tell the positions of a large image apart.
    dtype = torch.promote_types(x.dtype, torch.float32)
    moves = torch.unflatten(offsets.to(dtype), 1, (side, side, 2))
    steps = torch.arange(side, device=x.device) - side // 2
    row = torch.arange(rows, device=x.device)[:, None] + steps[:, None, None, None] + moves[:, :, :, 0]
    col = torch.arange(cols, device=x.device) + steps[:, None, None] + moves[:, :, :, 1]
    # From pixels to -1 ... 1, the borders of the first and of the last one.
    grid = torch.stack(((2 * col + 1) / cols - 1, (2 * row + 1) / rows - 1), -1)
    sampled = F.grid_sample(x.to(dtype), grid.flatten(1, 3), align_corners=False)
    taps = torch.unflatten(sampled, 2, (side * side, rows))
    out = torch.einsum("bdkhw,odk->bohw", taps, weight.flatten(2).to(taps.dtype))
    return out if bias is None else out + bias[:, None, None]
