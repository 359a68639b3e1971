"""Point spread functions: how a sensor mixes neighbouring pixels into one."""

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from cofusion.errors import UserError

Border = Literal["reflect", "symmetric", "replicate", "circular", "constant"]

# A Gaussian's full width at half maximum is 2 sqrt(2 ln 2) = 2.3548 standard deviations.
_FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
# Bands filtered at once where the PSF has no factors: bounds the padded copy of a large scene.
_CHUNK = 16
# Values that are summed up at once where it has: as many as a processor's cache holds.
_CACHED = 2**20


def gaussian_psf(size: int, sigma: float | tuple[float, float], angle: float = 0.0) -> Tensor:
    """Return a sampled Gaussian with sum 1.

    The Gaussian is centred on the window: on a tap for an odd `size`, between the two middle taps for an even
    one (see `blur` for what that does to positions).

    Args:
        size: Taps per axis, at least 1.
        sigma: Standard deviation in full-resolution pixels, above 0; or one along the rows' axis (down the
            picture) and one along the columns' axis (to the right).
        angle: Degrees by which both axes are turned, from the downward axis towards the right one.

    Returns:
        `(size, size)` float64.

    Raises:
        UserError: A size below 1, a sigma that is not positive and finite, or an angle that is not finite.
    """
    down, right = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    if size < 1 or not (min(down, right) > 0 and max(down, right) < math.inf) or not math.isfinite(angle):
        raise UserError(
            f"a Gaussian PSF needs size >= 1 and sigma > 0, not size {size}, sigma {sigma} and angle {angle}"
        )
    at = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    rows, cols = at[:, None], at
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    along, across = (cos * rows + sin * cols) / down, (cos * cols - sin * rows) / right
    taps = torch.exp(-0.5 * (along.square() + across.square()))
    if not taps.sum() > 0:
        raise UserError(f"a Gaussian of sigma {sigma} has no tap in a window of size {size}; use a wider one")
    return taps / taps.sum()


def sigma_from_fwhm(fwhm: float) -> float:
    """Return the sigma of the Gaussian with this full width at half maximum, `fwhm / 2.3548`.

    Args:
        fwhm: Full width at half maximum in full-resolution pixels, above 0; the sigma has its unit.

    Raises:
        UserError: A width that is not positive.
    """
    if not fwhm > 0:
        raise UserError(f"the full width at half maximum of a PSF must be above 0 pixels, not {fwhm}")
    return fwhm / _FWHM


def sigma_from_mtf(gain: float, scale: int) -> float:
    """Return the sigma of the Gaussian whose modulation transfer at Nyquist is `gain`.

    A Gaussian passes the frequency `f` by `exp(-2 (pi sigma f)^2)`. The Nyquist frequency of the
    low-resolution grid is `1 / (2 scale)` cycles per full-resolution pixel, hence
    `sigma = scale / pi * sqrt(-2 ln gain)` (Aiazzi et al., Photogrammetric Engineering & Remote Sensing
    72(5), 2006, who match the low-pass filters of pansharpening to the sensors' MTF this way).

    Args:
        gain: What is left of the amplitude at the Nyquist frequency, between 0 and 1, both excluded.
        scale: Integer resolution ratio.

    Returns:
        Standard deviation in full-resolution pixels.

    Raises:
        UserError: A gain outside 0 to 1.
    """
    if not 0 < gain < 1:
        raise UserError(f"the MTF of a PSF at Nyquist must lie between 0 and 1, not {gain}")
    return scale / math.pi * math.sqrt(-2.0 * math.log(gain))


def blur(image: Tensor, psf: Tensor, border: Border = "reflect") -> Tensor:
    """Replace every pixel by the PSF-weighted mean of its neighbourhood.

    Convention: output pixel `p` of an axis weighs the input pixels `p - (size - 1) // 2 ... p + size // 2`
    with the taps in order (a correlation; symmetric PSFs do not tell the difference). With an odd size it is
    centred on `p`, with an even size on `p + 1/2`. That is what MATLAB's `imfilter` does.

    Args:
        image: `(..., rows, cols)`, any number of leading axes.
        psf: `(size_rows, size_cols)` with sum 1.
        border: Values beyond the image: `reflect` (mirror without repeating the edge; OpenCV's reflect101),
            `symmetric` (mirror that repeats the edge; MATLAB's symmetric), `replicate`, `circular` or
            `constant` (zero; the default of `imfilter`).

    Returns:
        The blurred image, same shape, dtype and device.

    Raises:
        UserError: The image is too small to be mirrored or wrapped this far, or the border is unknown.
    """
    return filter_strided(image, psf, border, start=(0, 0), step=1)


def filter_strided(image: Tensor, psf: Tensor, border: Border, start: tuple[int, int], step: int) -> Tensor:
    """Return every `step`-th row and column of `blur(image)` without computing the rest.

    The kept ones are `start, start + step, ...`, as many as whole steps fit the axis (`rows // step`). A
    start may lie before the image. Arguments and errors are otherwise those of `blur`.
    """
    planes = image.reshape(-1, *image.shape[-2:])
    windows = [
        _Windows(size, taps, first, step, border)
        for size, taps, first in zip(image.shape[-2:], psf.shape, start, strict=True)
    ]
    factors = _factors(psf)
    filtered = _separable(planes, factors, *windows) if factors else _direct(planes, psf, *windows)
    return filtered.reshape(*image.shape[:-2], *filtered.shape[-2:])


class _Windows:
    """Where the windows of one axis lie: which pixels an output reads, inside the image and beyond."""

    def __init__(self, size: int, taps: int, start: int, step: int, border: Border) -> None:
        if border not in get_args(Border):
            raise UserError(f"unknown border {border!r}; choose one of: {', '.join(get_args(Border))}")
        self.size, self.step, self.border = size, step, border
        self.count = size // step
        self.first = start - (taps - 1) // 2
        self.before = -self.first
        self.after = self.first + (self.count - 1) * step + taps - size
        # Reflection never repeats the edge, so it reaches one pixel less far than the image is wide.
        reach = {"reflect": size - 1, "symmetric": size, "circular": size}.get(border, math.inf)
        beyond = max(self.before, self.after)
        if beyond > reach:
            raise UserError(
                f"an image side of {size} pixels is too small for a PSF reaching {beyond} pixels with border "
                f"{border!r}; use a larger image, a smaller scale or border 'replicate'"
            )

    def beyond(self, place: int) -> int | None:
        """Return the pixel that stands for a place outside the image; None for zero."""
        match self.border:
            case "reflect":
                return -place if place < 0 else 2 * (self.size - 1) - place
            case "symmetric":
                return -place - 1 if place < 0 else 2 * self.size - 1 - place
            case "replicate":
                return 0 if place < 0 else self.size - 1
            case "circular":
                return place % self.size
            case "constant":
                return None

    def extend(self, image: Tensor, axis: int) -> Tensor:
        """Return the image with what the windows read beyond it, and without what none reads."""
        kept = image.narrow(axis, max(0, self.first), self.size - max(0, self.first) - max(0, -self.after))
        parts = [
            *(self._line(image, axis, place) for place in range(self.first, 0)),
            kept,
            *(self._line(image, axis, self.size + i) for i in range(self.after)),
        ]
        return torch.cat(parts, axis) if len(parts) > 1 else kept

    def _line(self, image: Tensor, axis: int, place: int) -> Tensor:
        source = self.beyond(place)
        return torch.zeros_like(image.narrow(axis, 0, 1)) if source is None else image.narrow(axis, source, 1)


def _factors(psf: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the taps down and to the right whose product is the PSF, or None where there are none."""
    down, right, total = psf.sum(1), psf.sum(0), psf.sum()
    if total == 0 or (down[:, None] * right / total - psf).abs().max() > 1e-13 * psf.abs().max():
        return None
    return down, right / total


def _direct(planes: Tensor, psf: Tensor, rows: _Windows, cols: _Windows) -> Tensor:
    weight = psf.to(planes)[None, None]
    return torch.cat(
        [
            F.conv2d(cols.extend(rows.extend(chunk, -2), -1)[:, None], weight, stride=rows.step)[:, 0]
            for chunk in torch.split(planes, _CHUNK)
        ]
    )


def _separable(planes: Tensor, factors: tuple[Tensor, Tensor], rows: _Windows, cols: _Windows) -> Tensor:
    """Filter down, then to the right, a few planes at a time."""
    down, right = (taps.tolist() for taps in factors)
    filtered = planes.new_empty(len(planes), rows.count, cols.count)
    few = max(1, _CACHED // max(1, rows.count * cols.size))
    for i in range(0, len(planes), few):
        tall = _sum_rows(planes[i : i + few], down, rows)
        filtered[i : i + few] = _sum_rows(tall.mT, right, cols).mT
    return filtered


def _sum_rows(planes: Tensor, taps: list[float], windows: _Windows) -> Tensor:
    """Sum, tap by tap, the rows that it weighs: nothing is padded, each row is read once per tap."""
    size, step, count = windows.size, windows.step, windows.count
    others = dict(enumerate(taps))
    centre = (len(taps) - 1) // 2
    kept = windows.first + centre
    # The tap in the middle finds all its rows inside the image, unless it starts before it.
    if kept >= 0:
        filtered = planes[:, kept : kept + (count - 1) * step + 1 : step] * others.pop(centre)
    else:
        filtered = planes.new_zeros(len(planes), count, planes.shape[-1])
    for i, tap in others.items():
        first = windows.first + i
        # Outputs `low` to `high - 1` find their row inside the image.
        low = min(count, max(0, -(first // step)))
        high = max(low, min(count, (size - 1 - first) // step + 1))
        rows = planes[:, max(0, first + low * step) : max(0, first + (high - 1) * step + 1) : step]
        filtered[:, low:high].add_(rows, alpha=tap)
        for output in (*range(low), *range(high, count)):
            source = windows.beyond(first + output * step)
            if source is not None:
                filtered[:, output].add_(planes[:, source], alpha=tap)
    return filtered
