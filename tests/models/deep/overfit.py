"""One small scene learned by heart, which only a network whose parts work together can do."""

import math

import torch
import torch.nn.functional as F


def scene(bands=5, msi=3, scale=4, size=16):
    """A smooth mixture of four spectra with fine texture: `lr_hsi`, `hr_msi` and `hr_hsi`, in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 4, 4, 4, generator=generator)
    parts = F.interpolate(coarse, size=size, mode="bicubic").clamp(0, 1)
    texture = torch.rand(1, 4, size, size, generator=generator)
    parts = (4 * parts + 0.4 * texture).softmax(1)
    spectra = torch.rand(bands, 4, generator=generator)
    hr_hsi = torch.einsum("bk,nkhw->nbhw", spectra, parts)
    response = torch.rand(msi, bands, generator=generator)
    hr_msi = torch.einsum("mb,nbhw->nmhw", response / response.sum(1, keepdim=True), hr_hsi)
    return hr_hsi[..., ::scale, ::scale], hr_msi, hr_hsi


def overfit_psnr(net, steps, lr=2e-3, cosine=False, size=16):
    """Train with L1 and Adam on a scene of `size` x `size` pixels; return the PSNR (dB) at the end.

    The rate falls in the last third of the steps or, with `cosine`, all the way.
    """
    lr_hsi, hr_msi, hr_hsi = scene(net.hsi_bands, net.msi_bands, net.scale, size)
    optimizer = torch.optim.Adam(net.parameters(), lr, betas=(0.9, 0.99 if cosine else 0.999))
    falling = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (1 + math.cos(math.pi * step / steps)) / 2 if cosine else min(1, 3 * (1 - step / steps)),
    )
    for _ in range(steps):
        optimizer.zero_grad()
        F.l1_loss(net.train()(lr_hsi, hr_msi), hr_hsi).backward()
        optimizer.step()
        falling.step()
    with torch.no_grad():
        return -10 * math.log10(F.mse_loss(net.eval()(lr_hsi, hr_msi), hr_hsi))
