"""Splitting a feature map into a low- and a high-frequency part by one level of the DWT.

Algorithm 1, line 1: `{f_low, f_high} <- DWT(F)`. Both parts have the shape of `F`: the low part is the
inverse transform of the approximation alone, the high part that of the details alone. The transform
reconstructs perfectly, so the two add up to `F` and the high part need not be computed by filtering.
"""

import pywt
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class WaveletSplit(nn.Module):
    """Split `(B, D, H, W)` into low and high frequencies of the same shape.

    Borders are continued by half-sample symmetry, PyWavelets' default mode `symmetric`.

    Args:
        wavelet: Name of an orthogonal or biorthogonal wavelet of PyWavelets, for example `haar` or `db2`.

    Raises:
        ValueError: PyWavelets knows no such discrete wavelet.
    """

    def __init__(self, wavelet: str = "haar") -> None:
        super().__init__()
        filters = pywt.Wavelet(wavelet)
        self.is_haar = filters.name in ("haar", "db1", "bior1.1", "rbio1.1")
        # Convolution layers correlate, hence the reversed analysis filter.
        analysis = torch.tensor(filters.dec_lo[::-1], dtype=torch.float64)
        synthesis = torch.tensor(filters.rec_lo, dtype=torch.float64)
        self.register_buffer("analysis", torch.outer(analysis, analysis), persistent=False)
        self.register_buffer("synthesis", torch.outer(synthesis, synthesis), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(low, high)` with `low + high = x`."""
        low = haar_low(x) if self.is_haar else self.filter_low(x)
        return low, x - low

    def filter_low(self, x: Tensor) -> Tensor:
        """Return the inverse transform of the approximation coefficients, for any wavelet."""
        dim, (rows, cols) = x.shape[1], x.shape[-2:]
        taps = self.get_buffer("analysis").shape[-1]
        # As pywt.dwt: taps - 1 samples of border, and one more where the length is odd.
        border = (taps - 2, taps - 1)
        padded = _pad_symmetric(_pad_symmetric(x, -2, border), -1, border)
        kernel = self.get_buffer("analysis").to(x.dtype).expand(dim, 1, taps, taps)
        approximation = F.conv2d(padded, kernel, stride=2, groups=dim)
        kernel = self.get_buffer("synthesis").to(x.dtype).expand(dim, 1, taps, taps)
        low = F.conv_transpose2d(approximation, kernel, stride=2, groups=dim)
        return low[..., taps - 2 : taps - 2 + rows, taps - 2 : taps - 2 + cols]


def haar_low(x: Tensor) -> Tensor:
    """Return the Haar low part: every 2x2 block's mean, in place of its four values.

    An odd last row or column is a block by itself: with its mirror image, as half-sample symmetry has it, the
    mean is the same.
    """
    mean = F.avg_pool2d(x, 2, ceil_mode=True)
    return F.interpolate(mean, size=x.shape[-2:], mode="nearest")


def _pad_symmetric(x: Tensor, axis: int, border: tuple[int, int]) -> Tensor:
    """Continue an axis by half-sample symmetry, `c b a | a b c | c b a`, also beyond its own length."""
    length = x.shape[axis]
    positions = torch.arange(-border[0], length + border[1], device=x.device) % (2 * length)
    return x.index_select(axis, torch.minimum(positions, 2 * length - 1 - positions))
