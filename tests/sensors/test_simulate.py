import itertools
import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from cofusion.errors import UserError
from cofusion.sensors import (
    Preset,
    Sensors,
    SpectralResponse,
    blur,
    decimate,
    degrade,
    gaussian_psf,
    upsample,
)

PRESETS = get_args(Preset)
SCALES = (2, 3, 4, 5, 8)
FLIPS = tuple(itertools.product((False, True), repeat=2))

both = pytest.mark.parametrize("preset", ("paper", "wald"))
every_preset = pytest.mark.parametrize("preset", PRESETS)
every_scale = pytest.mark.parametrize("scale", SCALES)


def sensors(preset, scale, bands=2):
    response = SpectralResponse.pick([0], bands)
    return Sensors.preset(preset, scale, response, hsi_snr=math.inf, msi_snr=math.inf)


def mirrored(index, size):
    if index < 0:
        return -index
    return index if index < size else 2 * (size - 1) - index


def literal_lr_hsi(cube, preset, scale):
    """The protocol from its definition: for every sample every tap, around the sample's own coordinate."""
    bands, rows, cols = cube.shape
    h, w = rows // scale, cols // scale
    rows, cols = h * scale, w * scale
    if preset == "paper":
        sigma, phase, offsets = 0.5, 0.0, (-1.0, 0.0, 1.0)
    else:
        sigma, phase = scale / 2.3548200450309493, (scale - 1) / 2
        reach = math.ceil(4 * sigma - scale / 2) + (scale - 1) / 2
        offsets = tuple(np.arange(-reach, reach + 1))
    weights = [math.exp(-0.5 * (d / sigma) ** 2) for d in offsets]
    weights = [weight / sum(weights) for weight in weights]
    out = np.zeros((bands, h, w))
    for i, j in itertools.product(range(h), range(w)):
        for (dr, wr), (dc, wc) in itertools.product(zip(offsets, weights, strict=True), repeat=2):
            row, col = i * scale + phase + dr, j * scale + phase + dc
            assert row == int(row) and col == int(col)
            out[:, i, j] += wr * wc * cube[:, mirrored(int(row), rows), mirrored(int(col), cols)]
    return out


@both
@every_scale
def test_degrade_equals_the_literal_loop(preset, scale):
    # Neither side is a multiple of the scale: the rest is cropped.
    cube = np.random.default_rng(0).random((2, 4 * scale + 1, 3 * scale + scale - 1))
    pair = sensors(preset, scale)
    lr_hsi, hr_msi = degrade(torch.from_numpy(cube), pair)
    np.testing.assert_allclose(lr_hsi.numpy(), literal_lr_hsi(cube, preset, scale), rtol=1e-10)
    np.testing.assert_array_equal(hr_msi.numpy(), cube[:1, : 4 * scale, : 3 * scale])


@every_preset
@every_scale
def test_degrade_is_blur_then_decimate_and_batches_alike(preset, scale):
    pair = sensors(preset, scale)
    batch = torch.rand(3, 2, 6 * scale, 5 * scale)
    lr_hsi, hr_msi = pair.degrade(batch)
    blurred = blur(batch, pair.psf, pair.border)
    torch.testing.assert_close(lr_hsi, decimate(blurred, scale, math.floor(pair.phase)))
    for one, image in zip(lr_hsi, batch, strict=True):
        torch.testing.assert_close(one, pair.degrade(image)[0])
    assert lr_hsi.dtype == hr_msi.dtype == torch.float32


def centroid(image):
    total = image.sum()
    rows = torch.arange(image.shape[-2], dtype=image.dtype)
    cols = torch.arange(image.shape[-1], dtype=image.dtype)
    return (image.sum(1) * rows).sum().item() / total.item(), (
        image.sum(0) * cols
    ).sum().item() / total.item()


@every_preset
@every_scale
def test_a_point_returns_to_its_place(preset, scale):
    pair = sensors(preset, scale, bands=1)
    place = [block * scale + pair.phase for block in (6, 8)]
    point = torch.zeros(1, 14 * scale, 15 * scale, dtype=torch.float64)
    # Between pixels, the point is its four neighbours.
    for row, col in itertools.product(*({math.floor(x), math.ceil(x)} for x in place)):
        point[0, row, col] = 1.0
    lr_hsi, _ = pair.degrade(point)
    back = upsample(lr_hsi[None], scale, pair.phase)[0, 0]
    assert centroid(back) == pytest.approx(place, abs=1e-9)


@every_preset
@every_scale
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, 0.8)])
def test_a_blob_returns_to_its_place_wherever_it_lies(preset, scale, shift):
    pair = sensors(preset, scale, bands=1)
    place = [(12 + part) * scale for part in shift]
    axis = torch.arange(25 * scale, dtype=torch.float64)
    rows, cols = (torch.exp(-0.5 * ((axis - at) / (1.5 * scale)) ** 2) for at in place)
    lr_hsi, _ = pair.degrade((rows[:, None] * cols)[None])
    back = upsample(lr_hsi[None], scale, pair.phase)[0, 0]
    assert centroid(back) == pytest.approx(place, abs=0.01)


@every_preset
@every_scale
@pytest.mark.parametrize(("rows", "cols"), FLIPS)
def test_flipped_samples_are_those_of_the_flipped_scene(preset, scale, rows, cols):
    pair = sensors(preset, scale)
    scene = torch.rand(2, 6 * scale + 1, 5 * scale)
    axes = [axis for axis, flip in ((-2, rows), (-1, cols)) if flip]
    seen_flipped, _ = pair.degrade(pair.crop(scene).flip(axes))
    torch.testing.assert_close(pair.lr_hsi(scene, rows, cols), seen_flipped.flip(axes))
    assert pair.centred or preset not in ("wald", "ssrnet", "lgct", "supres")
    if pair.centred:
        torch.testing.assert_close(pair.lr_hsi(scene, rows, cols), pair.degrade(scene)[0])


@every_preset
@every_scale
@pytest.mark.parametrize(("rows", "cols"), FLIPS)
def test_support_bounds_what_a_window_depends_on(preset, scale, rows, cols):
    pair = sensors(preset, scale, bands=1)
    scene = torch.rand(1, 13 * scale, 13 * scale, dtype=torch.float64, requires_grad=True)
    first, last = 6, 8
    pair.lr_hsi(scene, rows, cols)[:, first:last, first:last].sum().backward()
    touched = scene.grad[0].nonzero()
    reach = pair.support
    assert touched.min() >= first * scale - reach
    assert touched.max() < last * scale + reach
    # Where the PSF is wider than the block, the bound is met in one direction at least.
    assert reach == 0 or touched.min() == first * scale - reach or touched.max() == last * scale + reach - 1


def test_presets_are_what_they_say():
    paper = sensors("paper", 8)
    assert torch.equal(paper.psf, gaussian_psf(3, 0.5))
    assert (paper.phase, paper.border, paper.support) == (0.0, "reflect", 1)
    for scale in SCALES:
        wald = sensors("wald", scale)
        size = wald.psf.shape[0]
        assert size % 2 == scale % 2
        assert wald.phase == (scale - 1) / 2
        taps = wald.psf.sum(0)
        profile = taps / taps.max()
        # At half the scale from its centre a Gaussian of this width is at half its maximum.
        at = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
        peak = math.exp(-4 * math.log(2) * (at.abs().min().item() / scale) ** 2)
        torch.testing.assert_close(profile, torch.exp(-4 * math.log(2) * (at / scale) ** 2) / peak)
        assert taps[0] < 1e-3 * taps.max()


@every_preset
@pytest.mark.parametrize("scale", [1, 0, -2, 2.0, 2.5, "4", True, None])
def test_scale_must_be_an_integer_of_at_least_two(preset, scale):
    with pytest.raises(UserError, match="scale must be an integer of at least 2"):
        sensors(preset, scale)


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(UserError, match="'walt'; choose one of: paper, wald, 3dt, ssrnet"):
        sensors("walt", 4)


@pytest.mark.parametrize(
    ("size", "phase"), [(3, 0.5), (4, 1.0), (3, -1.0), (3, 4.0), (4, 4.5), (4, math.nan)]
)
def test_a_phase_that_does_not_fit_the_kernel_is_refused(size, phase):
    with pytest.raises(UserError, match="does not fit a PSF"):
        replace(sensors("paper", 4), psf=gaussian_psf(size, 1.0), phase=phase)


def test_a_psf_must_be_square():
    with pytest.raises(UserError, match="square, not 3 x 5"):
        replace(sensors("paper", 4), psf=torch.ones(3, 5) / 15)


def test_an_image_smaller_than_a_block_is_refused():
    with pytest.raises(UserError, match="3 x 9 pixels is smaller than one block of scale 4"):
        sensors("paper", 4).degrade(torch.rand(2, 3, 9))
