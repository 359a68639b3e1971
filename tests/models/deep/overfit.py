"""Whether a network can learn one small patch by heart."""

import torch
import torch.nn.functional as F


def overfit(net, steps=150, lr=2e-3):
    """Train a network of 5 and 3 bands and scale 4 on one patch; return the PSNR that it reaches, in dB."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 5, 4, 4, generator=generator)
    detail = torch.rand(1, 1, 16, 16, generator=generator)
    hr_hsi = (F.interpolate(coarse, scale_factor=4, mode="bicubic") + 0.2 * detail).clamp(0, 1)
    lr_hsi, hr_msi = F.avg_pool2d(hr_hsi, 4), hr_hsi[:, ::2]
    optimizer = torch.optim.Adam(net.parameters(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        (net(lr_hsi, hr_msi) - hr_hsi).square().mean().backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        error = (net.eval()(lr_hsi, hr_msi) - hr_hsi).square().mean()
    return -10 * error.log10().item()
