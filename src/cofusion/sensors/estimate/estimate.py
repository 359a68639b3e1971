"""The sensors of a pair without a reference: checks, the fit, and what it gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.sensors.decimation import centre_phase
from cofusion.sensors.estimate.gaussian import GaussianFit, fit_gaussian
from cofusion.sensors.estimate.moments import Moments, collect, usable, window_size
from cofusion.sensors.estimate.solve import Fit, fit_both, fit_gaussian_psf
from cofusion.sensors.psf import filter_strided, gaussian_psf, sigma_from_fwhm
from cofusion.sensors.response import SpectralResponse
from cofusion.sensors.simulate import Sensors

PSFChoice = Literal["auto", "taps", "gaussian"]

# Taps at the PSF's edge that together weigh less than this are left out.
_NOTHING = 1e-4
# More of a band's standard deviation than this is no noise.
_LARGE = 0.2


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a pair tells about its sensors.

    The multispectral image, blurred with `psf` and decimated, is `gain * response(lr_hsi) + offset` but for
    `residual`. Shifts and widths are in full-resolution pixels.

    Attributes:
        response: Spectral response of the multispectral sensor.
        psf: `(size, size)` with sum 1, centred on the low-resolution pixel's block; a shift lies in the taps.
            At scale 1 it is what the hyperspectral image is blurred and shifted more than the multispectral.
        scale: Integer ratio of the two images, at least 1.
        gaussian: The Gaussian nearest to the estimated taps, or that of which `psf` are the taps.
        too_few: Whether pixels were too few for free taps, so that the PSF was taken for a Gaussian.
        gain: `(c,)`, one per multispectral band: what the two images' scalings differ by.
        offset: `(c,)`, what one image's zero differs by from the other's; nearly 0 for calibrated images.
        residual: `(c,)` root mean square of what is left, over that of the blurred, decimated band.
        unexplained: `(c,)`, the same over the standard deviation of that band: the part of its contrast.
        pixels: How many low-resolution pixels were used.
        whole: `(h, w)` bool, where a low-resolution pixel and all that the PSF may weigh can be trusted.
    """

    response: SpectralResponse
    psf: Tensor
    scale: int
    gaussian: GaussianFit
    too_few: bool
    gain: Tensor
    offset: Tensor
    residual: Tensor
    unexplained: Tensor
    pixels: int
    whole: Tensor

    def sensors(self) -> Sensors:
        """Return the sensors, to simulate pairs with. Beyond the image, pixels are reflected.

        Raises:
            UserError: The images have the same size: there is no sensor to decimate with.
        """
        if self.scale == 1:
            raise UserError(
                "both images have the same size, so they tell a response but no sensor that decimates; use "
                "the response alone"
            )
        return Sensors(self.psf, self.scale, centre_phase(self.scale), "reflect", self.response)

    def doubts(self) -> list[str]:
        """Return one sentence for each sign that the estimate should not be relied on."""
        found = []
        if self.too_few:
            found.append(
                f"{self.pixels} LRHSI pixels are too few for a PSF of any shape; it was taken for a Gaussian"
            )
        worst = int(self.unexplained.argmax())
        if self.unexplained[worst] > _LARGE:
            part, name = 100 * float(self.unexplained[worst]), self.response.names[worst]
            found.append(
                f"{part:.0f} % of the contrast of {name} stays unexplained: noise, or images that differ by "
                f"more than blur and bands (another date or light, a tone curve, not on top of each other)"
            )
        edge = window_size(self.scale) / 2
        reach = zip(self.gaussian.shift, self.gaussian.sigma, strict=True)
        if max(abs(shift) + sigma for shift, sigma in reach) > edge:
            found.append(
                f"the PSF does not end within {edge:g} pixels, as far as was looked; align the images"
            )
        return found

    def compare(self, lr_hsi: Tensor, hr_msi: Tensor) -> tuple[Tensor, Tensor]:
        """Return both images as they should be the same.

        Args:
            lr_hsi: `(C, h, w)`.
            hr_msi: `(c, H, W)`.

        Returns:
            `gain * response(lr_hsi) + offset` and the blurred, decimated `hr_msi`, both `(c, h, w)`. Beyond
            the image, its edge is repeated.
        """
        rows, cols = (size * self.scale for size in lr_hsi.shape[-2:])
        kept = (self.scale - 1) // 2
        blurred = filter_strided(hr_msi[:, :rows, :cols], self.psf, "replicate", (kept, kept), self.scale)
        gain, offset = (part[:, None, None].to(lr_hsi) for part in (self.gain, self.offset))
        return gain * self.response(lr_hsi) + offset, blurred

    @property
    def phase(self) -> tuple[float, float]:
        """Where the Gaussian's centre lies in its block, down and to the right of the first pixel."""
        down, right = (centre_phase(self.scale) + shift for shift in self.gaussian.shift)
        return down, right


def find_scale(lr_hsi: Tensor, hr_msi: Tensor, scale: int | None = None) -> int:
    """Return the integer ratio of two images' sizes.

    Args:
        lr_hsi: `(C, h, w)`.
        hr_msi: `(c, H, W)`.
        scale: The ratio where the HRMSI may have up to `scale - 1` rows and columns more than the LRHSI's
            blocks.

    Raises:
        UserError: The sizes do not give a whole ratio, or not this one.
    """
    (h, w), (rows, cols) = lr_hsi.shape[-2:], hr_msi.shape[-2:]
    sizes = f"LRHSI {h} x {w}, HRMSI {rows} x {cols}"
    if rows < h or cols < w:
        raise UserError(f"{sizes}: the LRHSI is the larger one; are the two swapped?")
    if scale is None:
        if (rows, cols) != (rows // h * h, rows // h * w):
            raise UserError(
                f"{sizes}: no whole ratio of sizes ({rows / h:.4g} down, {cols / w:.4g} right); crop both to "
                f"the same place, or give the scale where only rest pixels at the right and the bottom differ"
            )
        return rows // h
    if scale < 1 or (rows // scale, cols // scale) != (h, w):
        raise UserError(
            f"{sizes}: scale {scale} does not fit, {rows / h:.4g} down and {cols / w:.4g} right do; crop "
            f"both to the same place"
        )
    return scale


def estimate_sensors(
    lr_hsi: Tensor,
    hr_msi: Tensor,
    scale: int | None = None,
    *,
    psf: PSFChoice = "auto",
    lr_nodata: Tensor | None = None,
    hr_nodata: Tensor | None = None,
    names: Sequence[str] | None = None,
) -> Estimate:
    """Estimate the spectral response and the PSF, with its shift, from a pair alone.

    Neither is assumed to have a shape, only to be smooth as far as noise asks for it; see
    `cofusion.sensors.estimate.solve` for the fit and its source (HySure). Pixels whose window touches the
    border, missing data, pixels of all zeros or saturated ones are left out.

    Args:
        lr_hsi: `(C, h, w)`, the first block's corner being that of `hr_msi`.
        hr_msi: `(c, H, W)`. Each image may have its own scaling.
        scale: Integer ratio; told from the sizes when left out (see `find_scale`).
        psf: `taps` that are free; the `gaussian` that fits best together with the responses; or `auto`: taps,
            and the Gaussian where there are fewer equations than unknowns.
        lr_nodata: `(h, w)` bool, True where the LRHSI holds no data.
        hr_nodata: `(H, W)` bool, the same of the HRMSI.
        names: Names of the multispectral bands; numbers when left out.

    Raises:
        UserError: Sizes without a whole ratio, a constant band, too few pixels that can be used, or a
            multispectral band that no sum of hyperspectral ones resembles.
    """
    if psf not in get_args(PSFChoice):
        raise UserError(f"unknown PSF {psf!r}; choose one of: {', '.join(get_args(PSFChoice))}")
    scale = find_scale(lr_hsi, hr_msi, scale)
    rows, cols = (size * scale for size in lr_hsi.shape[-2:])
    hr_msi = hr_msi[:, :rows, :cols]
    seen = usable(hr_msi, None if hr_nodata is None else hr_nodata[:rows, :cols])
    labels = tuple(names) if names is not None else tuple(f"band {i + 1}" for i in range(len(hr_msi)))
    _check_values(lr_hsi, hr_msi, labels)
    moments = collect(lr_hsi, hr_msi, scale, usable(lr_hsi, lr_nodata), seen)
    # What sensors have about: half of the maximum half a pixel away.
    guess = gaussian_psf(moments.size, sigma_from_fwhm(scale))
    found = fit_both(moments, guess.flatten())
    gaussian = fit_gaussian(found.taps.reshape(moments.size, moments.size))
    too_few = psf == "auto" and not moments.fix_taps
    if psf == "gaussian" or too_few:
        gaussian, found = fit_gaussian_psf(moments, gaussian)
    return _estimate(moments, found, gaussian, too_few, scale, labels)


def _estimate(
    moments: Moments, found: Fit, gaussian: GaussianFit, too_few: bool, scale: int, names: tuple[str, ...]
) -> Estimate:
    gain = found.weights.sum(1)
    for name, own in zip(names, gain, strict=True):
        if not own > 0:
            raise UserError(
                f"{name} of the HRMSI resembles no sum of LRHSI bands; do the two images show the same place?"
            )
    mean = moments.msi_mean @ found.taps
    contrast = torch.einsum("a,jab,b->j", found.taps, moments.msi, found.taps) / moments.count
    return Estimate(
        response=SpectralResponse(found.weights / gain[:, None], names, "estimated from the pair"),
        psf=_trimmed(found.taps.reshape(moments.size, moments.size)),
        scale=scale,
        gaussian=gaussian,
        too_few=too_few,
        gain=gain,
        offset=mean - found.weights @ moments.hsi_mean,
        residual=found.residual * (contrast / (contrast + mean.square())).sqrt(),
        unexplained=found.residual,
        pixels=moments.count,
        whole=moments.whole,
    )


def _trimmed(psf: Tensor) -> Tensor:
    """Leave out rings of taps at the edge that weigh nothing."""
    while len(psf) > 2 and psf.sum() - psf[1:-1, 1:-1].sum() < _NOTHING:
        psf = psf[1:-1, 1:-1]
    return (psf / psf.sum()).contiguous()


def _check_values(lr_hsi: Tensor, hr_msi: Tensor, names: tuple[str, ...]) -> None:
    if len(names) != len(hr_msi):
        raise UserError(f"{len(names)} names for {len(hr_msi)} multispectral bands; give one per band")
    for what, image in (("LRHSI", lr_hsi), ("HRMSI", hr_msi)):
        if not torch.isfinite(image).all():
            raise UserError(f"the {what} holds NaN or infinite values; set these pixels to 0 and mark them")
        low, high = image.aminmax()
        if low == high:
            raise UserError(f"all values of the {what} are {float(low):g}; a constant image tells nothing")
    for name, band in zip(names, hr_msi, strict=True):
        low, high = band.aminmax()
        if low == high:
            raise UserError(f"{name} of the HRMSI is {float(low):g} everywhere; leave this band out")
