"""The periodic scene: its operators against what sensors do, and how other scenes are continued to one."""

import pytest
import torch

from cofusion.models.classical.fourier import Torus
from cofusion.sensors import PRESETS, MeasuredPSF, Sensors
from models.classical_iterative.scenes import noise, response, sensors, smooth

GEOMETRIES = [(2, 0.0, 0.5), (2, 0.5, 0.9), (3, 2.0, 1.2), (4, 0.0, 0.5), (4, 1.5, 1.7), (4, 3.5, 1.0)]


@pytest.fixture(params=GEOMETRIES, ids=str)
def eyes(request):
    scale, phase, sigma = request.param
    return sensors(scale, phase, sigma=sigma)


def test_sampling_is_what_sensors_with_a_circular_border_do(eyes):
    image = noise(1, 2, 20 * eyes.scale, 12 * eyes.scale)
    torus = Torus(eyes, image)
    torch.testing.assert_close(torus.sample(image), eyes.lr_hsi(image))
    assert torch.equal(torus.extend_hr(image), image)


def test_spreading_is_the_adjoint_of_sampling(eyes):
    image, lr = noise(2, 20 * eyes.scale, 12 * eyes.scale), noise(2, 20, 12, seed=1)
    torus = Torus(eyes, image)
    torch.testing.assert_close((torus.sample(image) * lr).sum(), (image * torus.spread(lr)).sum())


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_solving_undoes_spreading_and_sampling(eyes, shift):
    lr = noise(2, 20, 12)
    torus = Torus(eyes, noise(20 * eyes.scale, 12 * eyes.scale))
    there = torus.sample(torus.spread(lr)) + shift * lr
    torch.testing.assert_close(torus.solve(there, torch.tensor(shift)), lr)


def test_a_psf_without_symmetry_is_not_turned_around(tmp_path):
    taps = tmp_path / "psf.csv"
    taps.write_text("0,0,0\n0,1,3\n0,5,0\n")
    eyes = Sensors(MeasuredPSF(str(taps))(2, 1.0), 2, 1.0, "circular", response())
    lr, image = noise(1, 6, 4), noise(1, 12, 8, seed=1)
    torus = Torus(eyes, image)
    torch.testing.assert_close((eyes.lr_hsi(image) * lr).sum(), (image * torus.spread(lr)).sum())


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("preset", PRESETS)
def test_any_border_is_continued_to_a_periodic_scene_that_the_sensors_saw(preset, scale):
    eyes = Sensors.preset(preset, scale, response())
    image = 0.5 + 0.1 * smooth(1, 40 * scale, 36 * scale, 2.0 * scale)[None, ..., : 32 * scale, : 30 * scale]
    lr = eyes.lr_hsi(image)
    torus = Torus(eyes, image)
    continued, continued_lr = torus.extend_hr(image), torus.extend_lr(lr)
    assert torch.equal(torus.crop(continued), image)
    seen = torus.sample(continued)
    # Inside, exactly; outside, up to interpolation, where a pixel of flat continuation would be off by 0.1.
    torch.testing.assert_close(seen[..., :32, :30], lr)
    torch.testing.assert_close(continued_lr[..., :32, :30], lr)
    assert (continued_lr - seen).abs().max() < 0.05
    assert (continued_lr - seen).square().mean().sqrt() < 0.01


@pytest.mark.parametrize("border", ["reflect", "symmetric", "replicate", "constant"])
@pytest.mark.parametrize(("rows", "cols"), [(4, 4), (4, 12), (8, 4)])
def test_images_smaller_than_the_continuation_are_continued_too(border, rows, cols):
    eyes = sensors(4, border=border, sigma=0.3)
    image = noise(1, 1, rows, cols)
    torus = Torus(eyes, image)
    for part in (torus.extend_hr(image), torus.extend_lr(eyes.lr_hsi(image))):
        assert part.isfinite().all()
        assert part.max() < 1.5
