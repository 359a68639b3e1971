"""Smoothing filter-based intensity modulation: multiply by what smoothing takes from the guide."""

import torch
from torch import Tensor

from cofusion.models.classical.injection import mix, modulation, up
from cofusion.models.classical.matching import Matched
from cofusion.models.classical.pansharpening import Pansharpening
from cofusion.sensors import Sensors, blur


class SFIM(Pansharpening):
    """Smoothing filter-based intensity modulation: `Z_j = up(X)_j P_j / mean(P_j)`.

    The guides are equalised to the bands; `mean` is that of the window of `scale` x `scale` pixels around
    each pixel (one wider for an even scale), whatever the sensor's blur. The ratio is kept between 0 and 10.
    Liu, "Smoothing filter-based intensity modulation: a spectral preserve image fusion technique for
    improving spatial details", International Journal of Remote Sensing 21(18), 2000.
    """

    def sharpen(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors, pair: Matched) -> Tensor:
        """Modulate the interpolated bands."""
        weights = pair.equalised(pair.x)
        offset = pair.mean_offset(weights)
        size = sensors.scale + 1 - sensors.scale % 2
        window = torch.full((size, size), 1 / size**2, dtype=torch.float64)
        smooth = mix(weights, blur(hr_msi, window, "replicate"), offset)
        return modulation(mix(weights, hr_msi, offset), smooth).mul_(up(lr_hsi, sensors))


class SFIMHS(Pansharpening):
    """SFIM for hyperspectral images: `Z_j = X_j P_j / L_j`, X and L repeated without interpolation.

    L_j is the guide at low resolution; every pixel takes both from the nearest low-resolution sample. The
    ratio is kept between 0 and 10. Yokoya, Grohnfeldt and Chanussot, "Hyperspectral and multispectral data
    fusion: a comparative review", IEEE GRSM 5(2), 2017.
    """

    def sharpen(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors, pair: Matched) -> Tensor:
        """Modulate the repeated samples."""
        low = mix(pair.weights, pair.y_low, pair.offset)
        fused = modulation(mix(pair.weights, hr_msi, pair.offset), _nearest(low, sensors))
        return fused.mul_(_nearest(lr_hsi.float(), sensors))


def _nearest(lr: Tensor, sensors: Sensors) -> Tensor:
    """Give every full-resolution pixel the value of the low-resolution sample nearest to it."""
    for axis in (-2, -1):
        size = lr.shape[axis]
        position = (torch.arange(size * sensors.scale, device=lr.device) - sensors.phase) / sensors.scale
        lr = lr.index_select(axis, (position + 0.5).floor().long().clamp(0, size - 1))
    return lr
