"""Wavelet methods: take the low frequencies from the bands and the high ones from the guides."""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from cofusion.models.classical.injection import add_detail, mix, modulation, up
from cofusion.models.classical.matching import Match, Matched
from cofusion.models.classical.pansharpening import Pansharpening
from cofusion.sensors import Sensors, blur

_SPLINE = (1.0, 4.0, 6.0, 4.0, 1.0)


class AWLP(Pansharpening):
    """Additive wavelet luminance proportional: `Z_j = up(X)_j + up(X)_j / I_j (P_j - low(P_j))`.

    `I` is the mean of the bands that are sharpened together, to which the guide is equalised; `low` is the
    undecimated wavelet transform with the B3 spline at `log2(scale)` levels (rounded). Otazu et al.,
    "Introduction of sensor spectral response into image fusion methods. Application to wavelet-based
    methods", IEEE TGRS 43(10), 2005.
    """

    best_match: ClassVar[Match] = "selection"

    def sharpen(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors, pair: Matched) -> Tensor:
        """Inject the wavelet planes in proportion to the bands."""
        spectra = pair.mean_spectra
        intensity = spectra @ pair.x
        weights = pair.equalised(intensity)
        planes = hr_msi
        for level in range(round(math.log2(sensors.scale))):
            planes = blur(planes, _spline(level), "replicate")
        fused = up(lr_hsi, sensors)
        low = up((intensity + spectra @ pair.x_mean).view(lr_hsi.shape), sensors)
        share = modulation(fused.clone(memory_format=torch.preserve_format), low)
        return fused.add_(share.mul_(mix(weights, hr_msi - planes)))


class DWT(Pansharpening):
    """Discrete wavelet transform: the approximation of the bands, the details of the guides.

    With the Haar wavelet at `log2(scale)` levels the approximation is the mean of each block of `scale` x
    `scale` pixels; as such it serves any scale. The guides are equalised to the bands. King and Wang, "A
    wavelet based algorithm for pan sharpening Landsat 7 imagery", IGARSS 2001.
    """

    def sharpen(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors, pair: Matched) -> Tensor:
        """Join the blocks' means and the guides' details."""
        weights = pair.equalised(pair.x)
        # The blocks' means of both images at once: what the guides have of their own is taken away with them.
        means = F.avg_pool2d(up(lr_hsi, sensors), sensors.scale)
        means = means - mix(weights, F.avg_pool2d(hr_msi, sensors.scale))
        fused = means.repeat_interleave(sensors.scale, -1).repeat_interleave(sensors.scale, -2)
        return add_detail(fused.contiguous(memory_format=torch.channels_last), weights, hr_msi)


def _spline(level: int) -> Tensor:
    """Return the B3 spline's taps, `2^level` pixels apart, for both axes."""
    taps = torch.zeros(4 * 2**level + 1, dtype=torch.float64)
    taps[:: 2**level] = torch.tensor(_SPLINE, dtype=torch.float64) / 16
    return taps[:, None] * taps
