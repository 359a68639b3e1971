"""The guide of MSG: what it makes of the HRMSI, and that it learns the sensor's PSF."""

import pytest
import torch

from cofusion.models.cofusion.guide import Guide
from cofusion.sensors import Sensors, SpectralResponse, upsample

RESPONSE = SpectralResponse(torch.eye(3, dtype=torch.float64), ("a", "b", "c"), "test")


def sensors(preset, scale):
    return Sensors.preset(preset, scale, RESPONSE, border="reflect")


def image(rows=24, cols=48):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, rows, cols, generator=generator)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
def test_the_view_is_the_weighted_sum_around_every_sample(scale, at):
    phase = at * (scale - 0.5)
    guide, hr_msi = Guide(scale, phase), image()
    with torch.no_grad():
        guide.log_taps += 0.02 * torch.randn(guide.log_taps.shape, generator=torch.Generator().manual_seed(1))
        lr_msi, detail = guide(hr_msi)
        psf = guide.psf.double()
    assert psf.min() >= 0 and psf.sum() == pytest.approx(1, abs=1e-6)
    rows, cols = hr_msi.shape[-2:]
    for row, col in ((0, 0), (1, rows // scale // 2), (rows // scale - 1, cols // scale - 1)):
        expected = torch.zeros(2, 3, dtype=torch.float64)
        for i in range(psf.shape[0]):
            for j in range(psf.shape[1]):
                # Mirrored at the borders, which are not repeated.
                y, x = abs(scale * row + i - guide.reach), abs(scale * col + j - guide.reach)
                y, x = min(y, 2 * (rows - 1) - y), min(x, 2 * (cols - 1) - x)
                expected += psf[i, j] * hr_msi[..., y, x].double()
        torch.testing.assert_close(lr_msi[..., row, col].double(), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(detail + upsample(lr_msi, scale, phase), hr_msi)


@pytest.mark.parametrize("at", [0.0, 0.25, 1.0])
def test_it_starts_around_the_sample(at):
    phase = at * 3.5
    psf = Guide(4, phase).psf.detach()
    offsets = torch.arange(len(psf)) - 2.0
    assert float(psf.sum(1) @ offsets) == pytest.approx(phase, abs=0.1)


@pytest.mark.parametrize(("preset", "scale"), [("paper", 2), ("paper", 4), ("paper", 8), ("wald", 4)])
def test_it_learns_the_psf_of_the_sensor(preset, scale):
    known, hr_msi = sensors(preset, scale), image(64, 64)
    expected = known.lr_hsi(hr_msi)
    guide = Guide(scale, known.phase)
    optimizer = torch.optim.AdamW(guide.parameters(), 2e-3, betas=(0.9, 0.99))
    before = float((guide(hr_msi)[0] - expected).square().mean())
    for _ in range(300):
        optimizer.zero_grad()
        loss = (guide(hr_msi)[0] - expected).square().mean()
        loss.backward()
        optimizer.step()
    assert float(loss) < max(0.02 * before, 1e-8)
    # Where the sensor's centre tap lies, counted from the guide's first.
    if preset == "paper":
        learned = guide.psf.detach()[guide.reach - 1 : guide.reach + 2, guide.reach - 1 : guide.reach + 2]
        torch.testing.assert_close(learned, known.psf.float(), rtol=0, atol=0.03)


def test_mixed_precision_does_not_round_details():
    guide, hr_msi = Guide(4, 0.0), image()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        views = guide(hr_msi)
    for found, expected in zip(views, guide(hr_msi), strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected)
