"""What the fit needs to know of a pair: sums of products over its low-resolution pixels."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cofusion.errors import UserError

# Saturation shows as a largest value that several pixels share; measured ones hardly ever do.
_SHARED = 4
# More pixels cost time and tell nothing new; fewer than this many fix nothing.
_MOST, _FEWEST = 2**14, 64
# Values of all windows that are held at once.
_HELD = 2**23


@dataclass(frozen=True, eq=False)
class Moments:
    """Means, and sums of products about them, over `count` low-resolution pixels, float64.

    `X` holds their spectra less the mean one, `(C, count)`; `Y_j` the window of multispectral band `j` around
    each of them less the mean one, `(size ** 2, count)`, rows of the window one after the other.

    Attributes:
        hsi: `X X^T`, `(C, C)`.
        cross: `X Y_j^T`, `(c, C, size ** 2)`.
        msi: `Y_j Y_j^T`, `(c, size ** 2, size ** 2)`.
        hsi_mean: `(C,)`.
        msi_mean: `(c, size ** 2)`.
        count: Number of pixels.
        size: Pixels per side of a window, which is centred on the low-resolution pixel's block.
        whole: `(h, w)` bool, where a low-resolution pixel and its window can be trusted; of very many, only
            some were summed up.
    """

    hsi: Tensor
    cross: Tensor
    msi: Tensor
    hsi_mean: Tensor
    msi_mean: Tensor
    count: int
    size: int
    whole: Tensor

    @property
    def fix_taps(self) -> bool:
        """Whether there are at least as many equations as taps and weights of the responses."""
        bands, hsi_bands, taps = self.cross.shape
        return self.count * bands >= taps + bands * hsi_bands


def window_size(scale: int) -> int:
    """Return the side of a window: a PSF of 8 sigma that is as wide as a block, and a pixel more each side.

    It is odd for an odd scale and even for an even one, so that it has the block's centre.
    """
    return scale + 2 * (math.ceil(1.25 * scale) + 1)


def usable(image: Tensor, nodata: Tensor | None = None) -> Tensor:
    """Return where an image can be trusted, `(rows, cols)` bool.

    Not where `nodata` is True, all bands are 0, or a band is saturated: at its largest value together with
    at least three other pixels.
    """
    good = (image != 0).any(0)
    if nodata is not None:
        good &= ~nodata
    for band in image:
        top = band == band.max()
        if top.sum() >= _SHARED:
            good &= ~top
    return good


def collect(lr_hsi: Tensor, hr_msi: Tensor, scale: int, lr_usable: Tensor, hr_usable: Tensor) -> Moments:
    """Sum up the products over all low-resolution pixels whose whole window can be trusted.

    Args:
        lr_hsi: `(C, h, w)`.
        hr_msi: `(c, h * scale, w * scale)`.
        scale: Integer ratio of the two, at least 1.
        lr_usable: `(h, w)` bool.
        hr_usable: `(h * scale, w * scale)` bool.

    Raises:
        UserError: Too few such pixels.
    """
    size = window_size(scale)
    margin = (size - scale) // 2
    # The first block whose window lies inside the image, and where that begins.
    first = math.ceil(margin / scale)
    start = first * scale - margin
    whole = lr_usable & _clean(hr_usable, size, scale, first, start)
    chosen = whole.nonzero()
    if len(chosen) < _FEWEST:
        rows, cols = whole.shape
        raise UserError(
            f"only {len(chosen)} of {rows} x {cols} LRHSI pixels lie far enough from the border, missing "
            f"data and from saturated pixels (windows of {size} x {size} HRMSI pixels); at least {_FEWEST} "
            f"are needed, so give a larger or cleaner pair"
        )
    chosen = chosen[:: math.ceil(len(chosen) / _MOST)]
    windows = hr_msi[:, start:, start:].unfold(1, size, scale).unfold(2, size, scale)
    spectra = lr_hsi[:, chosen[:, 0], chosen[:, 1]].double()
    hsi_mean = spectra.mean(1, keepdim=True)
    spectra -= hsi_mean
    bands, taps = len(hr_msi), size * size
    cross, msi, mean = _zeros(bands, len(lr_hsi), taps), _zeros(bands, taps, taps), _zeros(bands, taps)
    few = max(1, _HELD // (bands * taps))
    for i in range(0, len(chosen), few):
        rows, cols = chosen[i : i + few].T - first
        pixels = windows[:, rows, cols].flatten(2).double()
        cross += spectra[:, i : i + few] @ pixels
        msi += pixels.mT @ pixels
        mean += pixels.sum(1) / len(chosen)
    return Moments(
        spectra @ spectra.T,
        cross,
        msi - len(chosen) * mean[:, :, None] * mean[:, None, :],
        hsi_mean[:, 0],
        mean,
        len(chosen),
        size,
        whole,
    )


def _clean(hr_usable: Tensor, size: int, scale: int, first: int, start: int) -> Tensor:
    """Return the blocks whose windows lie inside the image and hold nothing bad, `(h, w)` bool."""
    blocks = torch.zeros([side // scale for side in hr_usable.shape], dtype=torch.bool)
    bad = ~hr_usable[start:, start:]
    if min(bad.shape) >= size:
        clean = F.max_pool2d(bad[None, None].float(), size, scale)[0, 0] == 0
        blocks[first : first + len(clean), first : first + clean.shape[1]] = clean
    return blocks


def _zeros(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64)
