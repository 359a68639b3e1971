"""PSRT, the pyramid shuffle-and-reshuffle transformer (Deng et al., IEEE TGRS 2023)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cofusion.models.base import FusionNetwork
from cofusion.models.deep.windows import from_windows, self_attention, to_windows
from cofusion.sensors.decimation import upsample

PYRAMIDS = 2
WINDOWS = (8, 4, 2)
MLP_RATIO = 4
# The published initialisation of linear layers.
LINEAR_STD = 0.01


class PSRT(FusionNetwork):
    """Add to the interpolated LRHSI what window attention makes of it and the HRMSI.

    Two pyramids follow each other, each of three W2W blocks with windows of 8, 4 and 2 pixels. Between its
    attentions, a W2W block shuffles the map so that one window sees pixels from distant places.

    The published code departs from the paper in two points. The defaults follow the code; the arguments
    `attention_scale` and `final_activation` follow the paper. The code's fixed scale 4 is generalised to any
    scale by the interpolated LRHSI, the only place where the scale enters. Any number of rows and columns is
    accepted.

    Args:
        hsi_bands: Number of HSI bands C.
        msi_bands: Number of MSI bands c.
        scale: Ratio of the two resolutions, an integer of at least 2.
        phase: Where an LR sample sits in its `scale` x `scale` block, in full-resolution pixels.
        dim: Width of the features, divisible by `heads`.
        heads: Number of attention heads.
        attention_scale: Factor of the attention logits: 4 in the published code, None for the usual
            `(dim / heads)^-0.5` of the paper.
        final_activation: Whether a LeakyReLU of slope 0.2 follows the last convolution, before the
            interpolated LRHSI is added, as in the published code.

    Raises:
        ValueError: An argument lies outside its range.
    """

    multiple = max(WINDOWS)

    def __init__(
        self,
        hsi_bands: int,
        msi_bands: int,
        scale: int,
        phase: float = 0.0,
        dim: int = 32,
        heads: int = 8,
        attention_scale: float | None = 4.0,
        final_activation: bool = True,
    ) -> None:
        super().__init__(hsi_bands, msi_bands, scale, phase)
        if heads < 1 or dim < 1 or dim % heads:
            raise ValueError(f"dim must be a positive multiple of heads, got dim {dim} and heads {heads}")
        self.dim = dim
        self.heads = heads
        self.attention_scale = attention_scale
        self.final_activation = final_activation
        self.embed = nn.Conv2d(hsi_bands + msi_bands, dim, 3, padding=1)
        self.blocks = nn.Sequential(
            *(W2W(dim, heads, window, attention_scale) for _ in range(PYRAMIDS) for window in WINDOWS)
        )
        self.head = nn.Conv2d(dim, hsi_bands, 3, padding=1)
        self.apply(_initialise)

    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Fuse images whose H and W are divisible by 8."""
        base = upsample(lr_hsi, self.scale, self.phase)
        features = self.embed(torch.cat((base, hr_msi), 1))
        features = self.blocks(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        residual: Tensor = self.head(features)
        if self.final_activation:
            residual = F.leaky_relu(residual, 0.2, inplace=True)
        return base + residual


class W2W(nn.Module):
    """Window to window: attention, shuffle, attention, reshuffle, attention, plus the input.

    Args:
        dim: Width D.
        heads: Number of attention heads.
        window: Side of the windows in pixels, even.
        attention_scale: Factor of the attention logits; None for `(D / heads)^-0.5`.
    """

    def __init__(self, dim: int, heads: int, window: int, attention_scale: float | None) -> None:
        super().__init__()
        self.window = window
        self.attentions = nn.ModuleList(WindowAttention(dim, heads, attention_scale) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, H, W, D)` to the same shape; H and W divisible by the window."""
        cell = self.window // 2
        first, second, third = self.attentions
        mixed = self._inside_windows(second, shuffle(self._inside_windows(first, x), cell))
        return x + self._inside_windows(third, reshuffle(mixed, cell))

    def _inside_windows(self, attention: nn.Module, x: Tensor) -> Tensor:
        rows, cols = x.shape[1:3]
        return from_windows(attention(to_windows(x, self.window)), self.window, rows, cols)


class WindowAttention(nn.Module):
    """A pre-norm transformer layer whose tokens are the pixels of a window; it knows no positions.

    Args:
        dim: Width D.
        heads: Number of attention heads.
        attention_scale: Factor of the attention logits; None for `(D / heads)^-0.5`.
    """

    def __init__(self, dim: int, heads: int, attention_scale: float | None) -> None:
        super().__init__()
        self.heads = heads
        self.attention_scale = attention_scale
        self.norm1 = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, MLP_RATIO * dim), nn.GELU(), nn.Linear(MLP_RATIO * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(windows, tokens, D)` to the same shape."""
        attended = self_attention(self.qkv(self.norm1(x)), self.heads, scale=self.attention_scale)
        x = x + self.proj(attended)
        refined: Tensor = x + self.mlp(self.norm2(x))
        return refined


def shuffle(x: Tensor, cell: int) -> Tensor:
    """Gather the cells of even and odd rows and columns into four quadrants.

    Args:
        x: `(B, H, W, D)`; H and W divisible by `2 * cell`.
        cell: Side of the square cells that keep their pixels together.

    Returns:
        The same shape: cells of even row and column at the top left, of even row and odd column at the top
        right, of odd row and even column at the bottom left, of odd row and column at the bottom right.
    """
    batch, rows, cols, dim = x.shape
    cells = x.reshape(batch, rows // (2 * cell), 2, cell, cols // (2 * cell), 2, cell, dim)
    return cells.permute(0, 2, 1, 3, 5, 4, 6, 7).reshape(x.shape)


def reshuffle(x: Tensor, cell: int) -> Tensor:
    """Undo `shuffle`."""
    batch, rows, cols, dim = x.shape
    cells = x.reshape(batch, 2, rows // (2 * cell), cell, 2, cols // (2 * cell), cell, dim)
    return cells.permute(0, 2, 1, 3, 5, 4, 6, 7).reshape(x.shape)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=LINEAR_STD)
