"""Point spread functions: how a sensor mixes neighbouring pixels into one."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cofusion.errors import UserError

Border = Literal["reflect", "replicate", "circular", "constant"]

# Bands filtered at once: bounds the padded copy of a large scene to a few bands.
_CHUNK = 16


def gaussian_psf(size: int, sigma: float) -> Tensor:
    """Return a sampled Gaussian with sum 1.

    The Gaussian is centred on the window: on a tap for an odd `size`, between the two middle taps for an even
    one (see `blur` for what that does to positions).

    Args:
        size: Taps per axis, at least 1.
        sigma: Standard deviation in full-resolution pixels, above 0.

    Returns:
        `(size, size)` float64.

    Raises:
        UserError: A size below 1 or a sigma that is not positive.
    """
    if size < 1 or not sigma > 0:
        raise UserError(f"a Gaussian PSF needs size >= 1 and sigma > 0, not size {size} and sigma {sigma}")
    from kornia.filters import get_gaussian_kernel2d

    psf: Tensor = get_gaussian_kernel2d(
        size, torch.tensor([[sigma, sigma]], dtype=torch.float64), force_even=True
    )[0]
    return psf


def blur(image: Tensor, psf: Tensor, border: Border = "reflect") -> Tensor:
    """Replace every pixel by the PSF-weighted mean of its neighbourhood.

    Convention: output pixel `p` of an axis weighs the input pixels `p - (size - 1) // 2 ... p + size // 2`
    with the taps in order (a correlation; symmetric PSFs do not tell the difference). With an odd size it is
    centred on `p`, with an even size on `p + 1/2`.

    Args:
        image: `(..., rows, cols)`, any number of leading axes.
        psf: `(size_rows, size_cols)` with sum 1.
        border: Values beyond the image: `reflect` (mirror without repeating the edge), `replicate`,
            `circular` or `constant` (zero).

    Returns:
        The blurred image, same shape, dtype and device.

    Raises:
        UserError: The image is too small to be reflected or wrapped this far.
    """
    return filter_strided(image, psf, border, start=(0, 0), step=1)


def filter_strided(image: Tensor, psf: Tensor, border: Border, start: tuple[int, int], step: int) -> Tensor:
    """Return `blur(image)[..., start[0]::step, start[1]::step]` without computing the rest.

    Arguments and errors are those of `blur`; `start` and `step` select the rows and columns that are kept.
    """
    taps_r, taps_c = psf.shape
    pad = ((taps_c - 1) // 2, taps_c // 2, (taps_r - 1) // 2, taps_r // 2)
    _check_size(image, pad, border)
    weight = psf.to(image)[None, None]
    planes = image.reshape(-1, 1, *image.shape[-2:])
    kept = []
    for first in range(0, len(planes), _CHUNK):
        padded = F.pad(planes[first : first + _CHUNK], pad, mode=border)
        kept.append(F.conv2d(padded[..., start[0] :, start[1] :], weight, stride=step))
    filtered = torch.cat(kept)
    return filtered.reshape(*image.shape[:-2], *filtered.shape[-2:])


def _check_size(image: Tensor, pad: tuple[int, int, int, int], border: Border) -> None:
    rows, cols = image.shape[-2:]
    # Reflection never repeats the edge, so it reaches one pixel less far than the image is wide.
    reach = {"reflect": min(rows, cols) - 1, "circular": min(rows, cols)}.get(border)
    if reach is not None and max(pad) > reach:
        raise UserError(
            f"an image of {rows} x {cols} pixels is too small for a PSF reaching {max(pad)} pixels "
            f"with border {border!r}; use a larger image, a smaller scale or border 'replicate'"
        )
