"""Blur and decimation in the Fourier domain: a scene whose opposite edges meet, and a way to such a scene."""

from collections.abc import Callable

import torch
from torch import Tensor

from cofusion.sensors import Border, Sensors
from cofusion.sensors.decimation import interpolate
from cofusion.sensors.psf import filter_strided

# Low-resolution pixels over which one edge fades into the opposite one.
_FADE = 4


class Torus:
    """The hyperspectral sensor over a periodic scene, where blurring is a product of spectra.

    Where the sensors' border is not `circular`, the images are continued below and to the right by what the
    border says, and what continues one edge is faded into what continues the opposite edge, so that the
    continued scene is periodic and the images inside are exactly what the sensors saw of it. Continued values
    of the multispectral image are exact, those of the hyperspectral one are interpolated; `crop` cuts both
    off the result.

    With `A` the map from a full-resolution band to the samples taken of it, `A A^T` is diagonal in the
    Fourier domain of the low-resolution grid, whatever the PSF and the phase. Its eigenvalues are `power`.

    Args:
        sensors: Blur, decimation and border.
        hr: A full-resolution image `(..., H, W)`: gives size, dtype and device.
    """

    def __init__(self, sensors: Sensors, hr: Tensor) -> None:
        self.sensors = sensors
        self.scale = scale = sensors.scale
        self.inner = rows, cols = hr.shape[-2], hr.shape[-1]
        psf, self._start = sensors.turned(False, False, False)
        self._psf = psf.double().cpu()
        reach = -(-psf.shape[0] // (2 * scale)) + 1
        self._blocks = 0 if sensors.border == "circular" else 2 * reach + _FADE
        self._reach = reach * scale
        self.rows, self.cols = rows + self._blocks * scale, cols + self._blocks * scale
        rows_lr, cols_lr = self.rows // scale, self.cols // scale
        full = torch.fft.fft2(self._kernel().to(hr.device))
        folded = full.abs().square().reshape(scale, rows_lr, scale, cols_lr).mean((0, 2))
        #: `conj(D)`, the spectrum of the adjoint of blur, `(rows, cols // 2 + 1)`.
        self.adjoint = full[:, : self.cols // 2 + 1].to(torch.promote_types(hr.dtype, torch.complex64))
        #: Eigenvalues of `A A^T`, `(h, w // 2 + 1)`.
        self.power = folded[:, : folded.shape[1] // 2 + 1].to(hr.dtype)

    def _kernel(self) -> Tensor:
        """Return the weights with which sample (0, 0) sees the pixels, wrapped around."""
        size = self._psf.shape[0]
        at = torch.arange(size, device=self._psf.device) - (size - 1) // 2
        kernel = self._psf.new_zeros(self.rows, self.cols)
        rows, cols = (at + self._start[0]) % self.rows, (at + self._start[1]) % self.cols
        return kernel.index_put_((rows[:, None], cols), self._psf, accumulate=True)

    def sample(self, image: Tensor) -> Tensor:
        """Apply `A`: blur the periodic image `(..., rows, cols)` and keep one pixel of each block."""
        return filter_strided(image, self._psf, "circular", self._start, self.scale)

    def spread_spectrum(self, lr: Tensor) -> Tensor:
        """Apply `A^T` to `(..., h, w)`; return the result's `rfft2`."""
        spectrum = torch.fft.fft2(lr)
        columns = torch.arange(self.cols // 2 + 1, device=lr.device) % lr.shape[-1]
        tiled = spectrum[..., columns].repeat(*(1 for _ in lr.shape[:-2]), self.scale, 1)
        spread: Tensor = tiled.mul_(self.adjoint)
        return spread

    def spread(self, lr: Tensor) -> Tensor:
        """Apply `A^T`: the full-resolution image `(..., rows, cols)` of `(..., h, w)`."""
        return self.image(self.spread_spectrum(lr))

    def image(self, spectrum: Tensor) -> Tensor:
        """Return the full-resolution image of an `rfft2`."""
        image: Tensor = torch.fft.irfft2(spectrum, s=(self.rows, self.cols))
        return image

    def solve(self, lr: Tensor, shift: Tensor) -> Tensor:
        """Return `(A A^T + shift)^-1 lr`.

        Args:
            lr: `(..., h, w)`.
            shift: Not negative, broadcasts against `lr`; frequencies that the PSF blots out and that no shift
                keeps apart from zero give zero.
        """
        eigenvalues = self.power + shift
        blotted = eigenvalues <= torch.finfo(lr.dtype).eps
        inverse = torch.where(blotted, 0.0, 1 / torch.where(blotted, 1.0, eigenvalues))
        solved: Tensor = torch.fft.irfft2(torch.fft.rfft2(lr) * inverse, s=lr.shape[-2:])
        return solved

    def extend_hr(self, image: Tensor) -> Tensor:
        """Continue a full-resolution image `(..., H, W)` to the periodic `(..., rows, cols)`."""
        for axis in (-2, -1) if self._blocks else ():
            image = self._extend_axis(image, axis)
        return image

    def extend_lr(self, lr: Tensor) -> Tensor:
        """Continue a low-resolution image `(B, bands, h, w)` likewise."""
        if not self._blocks:
            return lr
        if self.sensors.border != "constant":
            return self._interpolate(lr, self.sensors.border)
        # Zeros beyond the image darken what the samples see of it: by how much is known everywhere.
        ones = lr.new_ones(1, 1, *self.inner)
        inside = self.sensors.lr_hsi(ones)
        return self._interpolate(lr / inside, "replicate") * self.sample(self.extend_hr(ones))

    def crop(self, image: Tensor) -> Tensor:
        """Cut what was continued off a full-resolution image."""
        return image[..., : self.inner[0], : self.inner[1]]

    def _extend_axis(self, image: Tensor, axis: int) -> Tensor:
        size, more = image.shape[axis], self._blocks * self.scale
        at = torch.arange(more, device=image.device, dtype=torch.float64)
        weight = self._fade(at).to(image.dtype)
        if axis == -2:
            weight = weight[:, None]
        if self.sensors.border == "constant":
            beyond = torch.zeros_like(image.narrow(axis, 0, 1)).expand(
                *(more if i == image.ndim + axis else n for i, n in enumerate(image.shape))
            )
        else:
            place = mirror(self.sensors.border)
            after = image.index_select(axis, place(size + at, size).long())
            before = image.index_select(axis, place(at - more, size).long())
            beyond = after.lerp_(before, weight)
        return torch.cat([image, beyond], axis)

    def _interpolate(self, lr: Tensor, border: Border) -> Tensor:
        rows, cols = (self._lines(h, border).to(lr) for h in lr.shape[-2:])
        return interpolate(lr, rows, cols).contiguous()

    def _lines(self, h: int, border: Border) -> Tensor:
        """Return the matrix `(h + blocks, h)` that continues a line of samples."""
        place, phase, size = mirror(border), self.sensors.phase, h * self.scale
        at = torch.arange(self._blocks, dtype=torch.float64) * self.scale + phase
        weight = self._fade(at)[:, None]
        after = _cubic_lines((place(size + at, size) - phase) / self.scale, h)
        before = _cubic_lines((place(at - self._blocks * self.scale, size) - phase) / self.scale, h)
        return torch.cat([torch.eye(h, dtype=torch.float64), after.lerp(before, weight)])

    def _fade(self, at: Tensor) -> Tensor:
        """Return how much of the opposite edge there is at a distance behind the image; smooth, 0 to 1."""
        width = self._blocks * self.scale - 2 * self._reach
        t = ((at + 0.5 - self._reach) / width).clamp(0, 1)
        return t * t * (3 - 2 * t)


def difference(image: Tensor, axis: int, forward: bool = True) -> Tensor:
    """Return every pixel's difference to the next one along an axis, the last one's to the first.

    Args:
        image: Any tensor.
        axis: -1 to the right, -2 downwards.
        forward: False for the adjoint: the previous one's value minus the pixel's own.
    """
    return image.roll(-1 if forward else 1, axis).sub_(image)


def mirror(border: Border) -> Callable[[Tensor, int], Tensor]:
    """Return the function of coordinates and size that says where in the image a place outside it lies."""

    def place(at: Tensor, size: int) -> Tensor:
        if border == "reflect":
            return (size - 1) - ((at % max(1, 2 * size - 2)) - (size - 1)).abs()
        if border == "symmetric":
            return (size - 0.5) - ((at + 0.5) % (2 * size) - size).abs()
        return at.clamp(0, size - 1)

    return place


def _cubic_lines(at: Tensor, size: int) -> Tensor:
    """Return the matrix that interpolates a line of samples at fractional indices (Keys, a = -0.5)."""
    at = at.clamp(0, size - 1)
    base = at.floor()
    matrix = at.new_zeros(len(at), size)
    for tap in range(-1, 3):
        t = (at - base - tap).abs()
        near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
        weight = torch.where(t <= 1, near, torch.where(t < 2, far, 0.0))
        sample = (base + tap).clamp(0, size - 1).long()
        matrix.scatter_add_(1, sample[:, None], weight[:, None])
    return matrix
