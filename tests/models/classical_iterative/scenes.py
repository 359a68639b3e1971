"""Small scenes and sensors for the tests of the methods."""

import math

import torch
import torch.nn.functional as F

from cofusion.sensors import GaussianPSF, GaussianResponse, Noise, Sensors

BANDS = 8


def response(msi_bands=4, bands=BANDS):
    wavelengths = torch.linspace(400, 1000, bands)
    centres = torch.linspace(400, 1000, msi_bands + 2)[1:-1].tolist()
    return GaussianResponse(centres, [200.0] * msi_bands)(wavelengths)


def sensors(scale=4, phase=None, msi_bands=4, bands=BANDS, border="circular", sigma=None, snr=math.inf):
    phase = (scale - 1) / 2 if phase is None else phase
    psf = GaussianPSF(sigma=scale / 2.3548 if sigma is None else sigma)(scale, phase)
    return Sensors(psf, scale, phase, border, response(msi_bands, bands), Noise(snr, snr))


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smooth(planes, rows, cols, width, seed=0):
    """Random planes `(planes, rows, cols)`, smooth and periodic, mean 0 and variance 1."""
    white = noise(planes, rows, cols, seed=seed) - 0.5
    down, across = torch.fft.fftfreq(rows)[:, None], torch.fft.rfftfreq(cols)
    low_pass = torch.exp(-0.5 * (2 * math.pi * width) ** 2 * (down**2 + across**2))
    low_pass[0, 0] = 0
    planes = torch.fft.irfft2(torch.fft.rfft2(white) * low_pass, s=(rows, cols))
    return planes / planes.std((1, 2), keepdim=True)


def spectra(count, bands=BANDS):
    """`(bands, count)` positive bumps."""
    at, centres = torch.linspace(0, 1, bands).double(), torch.linspace(0, 1, count).double()
    return 0.1 + 0.8 * torch.exp(-(((at[:, None] - centres) / 0.3) ** 2))


def mixed_scene(rank=3, rows=48, cols=48, bands=BANDS, width=6.0, seed=0):
    """`(1, bands, rows, cols)`: convex mixtures of few spectra, each pure in some low-resolution pixels."""
    fields = smooth(rank, rows, cols, width, seed)
    abundances = (fields * 12).softmax(0)
    return torch.einsum("bm,mhw->bhw", spectra(rank, bands), abundances)[None].float()


def full_rank_scene(rows=24, cols=20, bands=BANDS, seed=1):
    """`(1, bands, rows, cols)` in 0.1 to 0.9 with detail in every band."""
    fine = F.pad(smooth(bands, rows, cols, 1.0, seed), (0, 0))
    return (0.5 + 0.1 * fine + 0.05 * fine.mean(0)).clamp(0.1, 0.9)[None].float()
