"""Sensors: point spread functions, spectral responses, decimation, and the pairs that they simulate."""

from cofusion.sensors.decimation import centre_phase, decimate, upsample
from cofusion.sensors.psf import Border, blur, gaussian_psf
from cofusion.sensors.response import BandPick, CsvResponse, GaussianResponse, ResponseSpec, SpectralResponse
from cofusion.sensors.simulate import Preset, Sensors, degrade

__all__ = [
    "BandPick",
    "Border",
    "CsvResponse",
    "GaussianResponse",
    "Preset",
    "ResponseSpec",
    "Sensors",
    "SpectralResponse",
    "blur",
    "centre_phase",
    "decimate",
    "degrade",
    "gaussian_psf",
    "upsample",
]
