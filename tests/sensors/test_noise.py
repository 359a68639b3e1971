import math

import pytest
import torch

from cofusion.errors import UserError
from cofusion.sensors import Noise, Sensors, SpectralResponse


@pytest.fixture
def cube():
    torch.manual_seed(0)
    # Bands of very different brightness.
    return torch.rand(3, 256, 256) * torch.tensor([1.0, 0.3, 0.01])[:, None, None]


def sensors(**noise):
    return Sensors.preset("wald", 4, SpectralResponse.pick([0, 2], 3), **noise)


def snr(clean, noisy):
    """Per band, in dB."""
    powers = clean.double().square().mean((1, 2)), (noisy - clean).double().square().mean((1, 2))
    return (10 * torch.log10(powers[0] / powers[1])).tolist()


def test_each_band_has_the_ratio_asked_for(cube):
    clean, noisy = sensors().degrade(cube), sensors(hsi_snr=30, msi_snr=40).degrade(cube)
    assert snr(clean[0], noisy[0]) == pytest.approx([30, 30, 30], abs=0.3)
    assert snr(clean[1], noisy[1]) == pytest.approx([40, 40], abs=0.1)
    error = noisy[1] - clean[1]
    # Zero on average, another one in every band, white.
    assert (error.mean((1, 2)) / error.std((1, 2))).abs().max() < 0.02
    shifted = torch.stack([error[0], error[1], error[0].roll(1, 0), error[0].roll(1, 1)]).flatten(1)
    assert (torch.corrcoef(shifted) - torch.eye(4)).abs().max() < 0.02
    # Normal: two thirds lie within one standard deviation.
    assert (error[0].abs() < error[0].std()).float().mean().item() == pytest.approx(0.6827, abs=0.01)


def test_noise_is_a_function_of_seed_and_name_alone(cube):
    noisy = sensors(hsi_snr=20, msi_snr=20)
    first = noisy.degrade(cube, "a")
    torch.manual_seed(5)
    noisy.degrade(cube, "b")
    for one, other in zip(first, noisy.degrade(cube, "a"), strict=True):
        assert torch.equal(one, other)
    for others in (
        noisy.degrade(cube, "b"),
        sensors(hsi_snr=20, msi_snr=20, noise_seed=1).degrade(cube, "a"),
    ):
        assert all(not torch.equal(one, other) for one, other in zip(first, others, strict=True))


def test_the_two_sensors_have_noise_of_their_own():
    flat = torch.ones(2, 16, 16)
    noise = Noise(10, 10)
    hsi, msi = noise.of_hsi("x")(flat), noise.of_msi("x")(flat)
    assert abs(torch.corrcoef(torch.stack([hsi.flatten(), msi.flatten()]))[0, 1]) < 0.2


def test_runs_of_bands_get_the_noise_of_the_whole(cube):
    draw = Noise(hsi_snr=20).of_hsi("x")
    runs = torch.cat([draw(run) for run in cube.split([1, 2, len(cube) - 3])])
    assert torch.equal(runs, Noise(hsi_snr=20).of_hsi("x")(cube))


def test_infinite_ratios_leave_the_image_alone(cube):
    assert Noise().of_hsi("x")(cube) is None
    half = sensors(msi_snr=30)
    assert torch.equal(half.degrade(cube)[0], sensors().degrade(cube)[0])
    assert not torch.equal(half.degrade(cube)[1], sensors().degrade(cube)[1])


def test_a_dark_band_stays_dark():
    cube = torch.rand(3, 32, 32)
    cube[1] = 0
    lr_hsi, _ = sensors(hsi_snr=10).degrade(cube)
    assert torch.equal(lr_hsi[1], torch.zeros(8, 8))


@pytest.mark.parametrize("snr", [math.nan, -math.inf])
def test_ratios_that_are_none_are_refused(snr):
    with pytest.raises(UserError, match=f"hsi_snr must be a number of dB, or inf for no noise, not {snr}"):
        Noise(hsi_snr=snr)
    with pytest.raises(UserError, match="msi_snr"):
        Noise(msi_snr=snr)


def test_a_negative_seed_is_refused():
    with pytest.raises(UserError, match="noise_seed must be at least 0, not -1"):
        Noise(seed=-1)
