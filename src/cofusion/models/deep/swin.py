"""Swin transformer layers (Liu et al., ICCV 2021) on maps `(B, H, W, D)` with the channels last."""

import torch
from torch import Tensor, nn

from cofusion.models.deep.windows import from_windows, self_attention, to_windows

MLP_RATIO = 2


class SwinLayer(nn.Module):
    """A pre-norm transformer layer over windows, shifted by half a window in every other layer.

    Args:
        dim: Width D, divisible by `heads`.
        heads: Number of attention heads.
        window: Side of the windows in pixels.
        shift: How many pixels the grid of windows is moved down and right, less than `window`.
        drop_path: Probability, in [0, 1), that an image skips a residual branch in training.
    """

    def __init__(self, dim: int, heads: int, window: int, shift: int, drop_path: float) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.shift = shift
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, MLP_RATIO * dim), nn.GELU(), nn.Linear(MLP_RATIO * dim, dim))
        # One number per head and displacement of key and query, each -(window - 1) ... window - 1.
        self.position_bias = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        self.register_buffer("displacement", _displacements(window), persistent=False)
        nn.init.trunc_normal_(self.position_bias, std=0.02)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map `(B, H, W, D)` to the same shape.

        Args:
            x: The map; H and W divisible by the window.
            mask: `shift_mask` of the map's size and this layer's window and shift; used if there is a shift.
        """
        x = x + self._drop(self._attend(self.norm1(x), mask))
        return x + self._drop(self.mlp(self.norm2(x)))

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, rows, cols, _ = x.shape
        bias = self.position_bias[self.get_buffer("displacement")].permute(2, 0, 1)[None]
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
            bias = (bias + mask[:, None]).repeat(batch, 1, 1, 1)
        windows = self_attention(self.qkv(to_windows(x, self.window)), self.heads, bias)
        x = from_windows(self.proj(windows), self.window, rows, cols)
        return x.roll((self.shift, self.shift), (1, 2)) if self.shift else x

    def _drop(self, branch: Tensor) -> Tensor:
        """Stochastic depth: leave out whole branches of an image, keep the expectation."""
        if not self.training or not self.drop_path:
            return branch
        kept = branch.new_empty(branch.shape[0], 1, 1, 1).bernoulli_(1 - self.drop_path)
        return branch * (kept / (1 - self.drop_path))


def shift_mask(like: Tensor, window: int, shift: int) -> Tensor:
    """Forbid attention between pixels that only the cyclic shift has brought into one window.

    Args:
        like: A map `(B, H, W, D)` that gives size, type and device.
        window: Side of the windows.
        shift: Pixels by which the map is rolled up and left.

    Returns:
        `(windows, tokens, tokens)`, 0 where two pixels may see each other and minus infinity elsewhere.
    """
    _, rows, cols, _ = like.shape
    # Rolled up, the first rows come to lie below the last ones: a region of their own.
    below = torch.arange(rows, device=like.device) >= rows - shift
    right = torch.arange(cols, device=like.device) >= cols - shift
    region = 2 * below[:, None] + 1 * right
    regions = to_windows(region[None, :, :, None], window).squeeze(2)
    mask = torch.zeros(regions.shape + regions.shape[1:], dtype=like.dtype, device=like.device)
    return mask.masked_fill_(regions[:, :, None] != regions[:, None, :], float("-inf"))


def _displacements(window: int) -> Tensor:
    """Return the place in the table of biases for every query and key, `(window^2, window^2)`."""
    positions = torch.cartesian_prod(torch.arange(window), torch.arange(window))
    delta = positions[:, None] - positions[None] + window - 1
    return delta[..., 0] * (2 * window - 1) + delta[..., 1]
