"""VMamba as PIF-Net's author writes it: a scan in four directions (after Liu et al., NeurIPS 2024)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cofusion.models.deep.selective_scan import selective_scan

STATES = 16
DIRECTIONS = 4


class VMamba(nn.Module):
    """Mix a map along its rows and its columns, forwards and backwards, by one recurrence.

    The four sequences of a map lie side by side as channels of a single scan: at every position the step
    sizes and gates come from all four together, other than in VMamba, where each has its own.

    Args:
        dim: Width D; the scan runs at width 2 D for each direction, with 16 states per channel.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        width = 2 * dim
        channels = DIRECTIONS * width
        self.rank = -(-dim // 16)
        self.enter = nn.Linear(dim, 2 * width)
        self.conv = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.gates = nn.Linear(channels, self.rank + 2 * STATES, bias=False)
        self.step = nn.Linear(self.rank, channels)
        self.log_rate = nn.Parameter(torch.arange(1.0, STATES + 1).log().repeat(channels, 1))
        self.skip = nn.Parameter(torch.ones(channels))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, D, H, W)` to the same shape."""
        rows, cols = x.shape[2:]
        inner, gate = self.enter(x.permute(0, 2, 3, 1)).chunk(2, 3)
        inner = F.silu(self.conv(inner.permute(0, 3, 1, 2)))
        scanned = from_sequences(self._scan(to_sequences(inner)), rows, cols)
        mixed: Tensor = self.leave(self.norm(scanned.permute(0, 2, 3, 1)) * F.silu(gate))
        return mixed.permute(0, 3, 1, 2)

    def _scan(self, x: Tensor) -> Tensor:
        # The recurrence adds over thousands of positions, which half precision cannot.
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.skip.dtype)
            step, b, c = self.gates(x).split((self.rank, STATES, STATES), 2)
            delta = F.softplus(self.step(step))
            scanned: Tensor = selective_scan(x, delta, -self.log_rate.exp(), b, c) + self.skip * x
            return scanned


def to_sequences(x: Tensor) -> Tensor:
    """Read `(B, E, H, W)` by rows, by columns, and both from the end: `(B, H W, 4 E)`."""
    pixels = x.permute(0, 2, 3, 1)
    by_row, by_col = pixels.flatten(1, 2), pixels.transpose(1, 2).flatten(1, 2)
    return torch.cat((by_row, by_col, by_row.flip(1), by_col.flip(1)), 2)


def from_sequences(sequences: Tensor, rows: int, cols: int) -> Tensor:
    """Put the four sequences of `to_sequences` back in place and add them: `(B, E, H, W)`."""
    by_row, by_col, from_end, col_from_end = sequences.chunk(DIRECTIONS, 2)
    by_row, by_col = by_row + from_end.flip(1), by_col + col_from_end.flip(1)
    image = torch.unflatten(by_row, 1, (rows, cols))
    image = image + torch.unflatten(by_col, 1, (cols, rows)).transpose(1, 2)
    return image.permute(0, 3, 1, 2)
