"""Sensors: point spread functions, spectral responses, decimation, and the pairs that they simulate."""

from cofusion.sensors.decimation import centre_phase, decimate, upsample
from cofusion.sensors.estimate import Estimate, GaussianFit, estimate_sensors
from cofusion.sensors.kernels import GaussianPSF, MeasuredPSF, PSFSpec
from cofusion.sensors.noise import Noise
from cofusion.sensors.presets import PRESETS, Preset, Protocol
from cofusion.sensors.psf import Border, blur, gaussian_psf, sigma_from_fwhm, sigma_from_mtf
from cofusion.sensors.radiometry import Radiometry, fit_radiometry
from cofusion.sensors.response import (
    BandPick,
    CsvResponse,
    GaussianResponse,
    ResponseSpec,
    SatelliteResponse,
    SpectralResponse,
)
from cofusion.sensors.satellites import Satellite
from cofusion.sensors.simulate import Sensors, degrade

__all__ = [
    "PRESETS",
    "BandPick",
    "Border",
    "CsvResponse",
    "Estimate",
    "GaussianFit",
    "GaussianPSF",
    "GaussianResponse",
    "MeasuredPSF",
    "Noise",
    "PSFSpec",
    "Preset",
    "Protocol",
    "Radiometry",
    "ResponseSpec",
    "Satellite",
    "SatelliteResponse",
    "Sensors",
    "SpectralResponse",
    "blur",
    "centre_phase",
    "decimate",
    "degrade",
    "estimate_sensors",
    "fit_radiometry",
    "gaussian_psf",
    "sigma_from_fwhm",
    "sigma_from_mtf",
    "upsample",
]
