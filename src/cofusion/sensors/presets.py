"""Protocols by name: how published work simulates the hyperspectral image.

Blur, phase and border of each are read from the code named in its `source`; `scale` is the one number they
depend on. What a row cannot hold (cutting patches first, another multispectral image) its source says.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cofusion.sensors.decimation import centre_phase
from cofusion.sensors.kernels import gaussian_window
from cofusion.sensors.psf import Border, gaussian_psf, sigma_from_fwhm

Preset = Literal["paper", "wald", "3dt", "ssrnet", "lgct", "hypertransformer", "hysure", "hiftool", "supres"]


@dataclass(frozen=True)
class Protocol:
    """A row of the table.

    Attributes:
        psf: The taps for a scale.
        phase: Where a sample sits in its block for a scale, see `cofusion.sensors.Sensors`.
        border: Values beyond the image.
        source: Where the row comes from.
        hsi_snr: Signal-to-noise ratio of the hyperspectral image in dB.
        msi_snr: Signal-to-noise ratio of the multispectral image in dB.
    """

    psf: Callable[[int], Tensor]
    phase: Callable[[int], float]
    border: Border
    source: str
    hsi_snr: float = math.inf
    msi_snr: float = math.inf


def _wald(scale: int) -> Tensor:
    sigma = sigma_from_fwhm(scale)
    return gaussian_psf(gaussian_window(sigma, centre_phase(scale)), sigma)


def _resized(psf: Tensor, scale: int) -> Tensor:
    """Fold OpenCV's bilinear resize by a whole scale into the PSF.

    The resize reads the source at the block's centre: the middle pixel of an odd block, the mean of the two
    middle pixels (per axis) of an even one. Those lie inside the image, so the folded PSF is exact at the
    border too.
    """
    if scale % 2:
        return psf
    mean = torch.full((1, 1, 2, 2), 0.25, dtype=psf.dtype)
    return F.conv2d(psf[None, None], mean, padding=1)[0, 0]


def _binomial() -> Tensor:
    taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=torch.float64) / 16
    return taps[:, None] * taps


PRESETS: dict[Preset, Protocol] = {
    "paper": Protocol(
        psf=lambda scale: gaussian_psf(3, 0.5),
        phase=lambda scale: 0.0,
        border="reflect",
        source="earlier code of CoFusion's authors (PIF-Net, HSR): 3 x 3 Gaussian with sigma 0.5 at every "
        "scale, first pixel of each block",
    ),
    "wald": Protocol(
        psf=_wald,
        phase=centre_phase,
        border="reflect",
        source="Yokoya et al., IEEE GRSM 2017: Gaussian with full width at half maximum = scale (sigma = "
        "scale / 2.3548, cut beyond 4 sigma), centred on the block",
    ),
    "3dt": Protocol(
        psf=lambda scale: gaussian_psf(8, 2.0),
        # imfilter centres 8 taps half a pixel after the pixel that the indexing keeps.
        phase=lambda scale: scale // 2 + 0.5,
        border="constant",
        source="3DT-Net and DCTransformer: MATLAB's imfilter with an 8 x 8 Gaussian of sigma 2 and zeros "
        "beyond the image, pixel scale // 2 of each block (their training; the test images of their MATLAB "
        "script at x8 keep the pixel before)",
    ),
    "ssrnet": Protocol(
        psf=lambda scale: _resized(gaussian_psf(5, 2.0), scale),
        phase=centre_phase,
        border="reflect",
        source="SSR-NET: OpenCV's GaussianBlur 5 x 5 with sigma 2, then its bilinear resize (they blur the "
        "test window apart from its surroundings)",
    ),
    "lgct": Protocol(
        psf=lambda scale: _resized(gaussian_psf(7, 2.0), scale),
        phase=centre_phase,
        border="reflect",
        source="LGCT: OpenCV's GaussianBlur 7 x 7 with sigma 2, then its bilinear resize",
    ),
    "hypertransformer": Protocol(
        psf=lambda scale: gaussian_psf(8, sigma_from_fwhm(scale)),
        # imfilter centres 8 taps half a pixel after the first pixel of the block, which is kept.
        phase=lambda scale: 0.5,
        border="circular",
        source="HyperTransformer: MATLAB's imfilter, circular, with an 8 x 8 Gaussian of full width at half "
        "maximum = scale, first pixel of each block (they blur each patch apart)",
    ),
    "hysure": Protocol(
        psf=lambda scale: _binomial(),
        phase=lambda scale: 1.0,
        border="circular",
        source="HySure's Pavia demo: Starck-Murtagh 5 x 5 filter (1 4 6 4 1), circular, second pixel of each "
        "block; noise of 30 dB (HSI) and 40 dB (MSI), there of one power for all bands",
        hsi_snr=30.0,
        msi_snr=40.0,
    ),
    "hiftool": Protocol(
        psf=lambda scale: gaussian_psf(2 * scale + 1, 0.666 * scale),
        phase=lambda scale: float(scale // 2),
        border="reflect",
        source="HIFtool (Chikusei and Pavia): OpenCV's GaussianBlur with 2 scale + 1 taps and sigma 0.666 "
        "scale, pixel scale // 2 of each block",
    ),
    "supres": Protocol(
        psf=lambda scale: torch.full((scale, scale), 1.0 / scale**2, dtype=torch.float64),
        phase=centre_phase,
        border="reflect",
        source="SupResPALM: the mean of each block (no pixel beyond the image is read)",
    ),
}
