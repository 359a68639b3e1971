"""What holds for every variational, factorisation or Bayesian method; a method is a row of `METHODS`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from cofusion.errors import UserError
from cofusion.metrics import psnr
from cofusion.models.classical.base import ClassicalMethod
from cofusion.models.classical.cnmf import CNMF
from cofusion.models.classical.fuse import FUSE
from cofusion.models.classical.hysure import HySure
from cofusion.models.classical.ltmr import LTMR
from cofusion.models.classical.sup_res_palm import SupResPALM
from cofusion.models.classical.tv import TV
from cofusion.sensors import Sensors, upsample
from models.classical_iterative import literally
from models.classical_iterative.scenes import full_rank_scene, mixed_scene, response, sensors


@dataclass(frozen=True)
class Row:
    """A method.

    `quick` are options for few steps, `literal` its literal version, `recovering` the options with which it
    finds a noise-free low-rank scene again (None where it does not).
    """

    method: type[ClassicalMethod]
    literal: Callable[..., np.ndarray]
    quick: dict[str, Any]
    recovering: dict[str, Any] | None = None
    options: dict[str, Any] | None = None

    def __call__(self, **options):
        return self.method(**(self.options or {}) | options)


METHODS = {
    "fuse": Row(FUSE, literally.fuse, {"components": 6}, {}),
    "fuse_ml": Row(FUSE, literally.fuse, {"components": 6}, {}, {"prior": "none"}),
    "hysure": Row(
        HySure,
        literally.hysure,
        {"components": 6, "iterations": 12},
        {"smoothness": 1e-7, "penalty": 1e-3, "iterations": 100},
    ),
    "ltmr": Row(
        LTMR, literally.ltmr, {"components": 6, "clusters": 3, "patch": 3, "step": 2, "iterations": 4}, {}
    ),
    "cnmf": Row(
        CNMF,
        literally.cnmf,
        {"endmembers": 6, "rounds": 1, "iterations": 5, "tolerance": 0.0},
        {"iterations": 1000, "rounds": 1, "tolerance": 0.0},
    ),
    "tv": Row(TV, literally.tv, {"iterations": 8}),
    "sup_res_palm": Row(
        SupResPALM, literally.sup_res_palm, {"endmembers": 5, "rounds": 2, "steps": 3, "tolerance": 0.0}
    ),
}
every_method = pytest.mark.parametrize("row", METHODS.values(), ids=METHODS)
RECOVERING = {name: row for name, row in METHODS.items() if row.recovering is not None}


@every_method
@pytest.mark.parametrize(("scale", "phase", "sigma"), [(4, 1.5, None), (2, 0.0, 0.5), (3, 2.0, None)])
@pytest.mark.parametrize("msi_bands", [3, 4])
def test_equals_its_literal_version(row, scale, phase, sigma, msi_bands):
    eyes = sensors(scale, phase, msi_bands, sigma=sigma)
    lr_hsi, hr_msi = eyes.degrade(full_rank_scene(12, 12))
    method = row(**row.quick)
    expected = torch.from_numpy(row.literal(method, lr_hsi, hr_msi, eyes))
    torch.testing.assert_close(method(lr_hsi, hr_msi, eyes)[0].double(), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("row", RECOVERING.values(), ids=RECOVERING)
@pytest.mark.parametrize(("phase", "sigma"), [(1.5, None), (0.0, 0.5)])
def test_a_low_rank_scene_without_noise_is_recovered(row, phase, sigma):
    eyes = sensors(4, phase, sigma=sigma)
    scene = mixed_scene()
    fused = row(**row.recovering)(*eyes.degrade(scene), eyes)
    assert psnr(fused, scene, peak="max") > 50


@every_method
@pytest.mark.parametrize("border", ["circular", "reflect", "symmetric", "replicate"])
def test_a_flat_scene_is_returned(row, border):
    eyes = sensors(4, border=border)
    scene = torch.linspace(0.1, 0.9, 8)[None, :, None, None].expand(1, -1, 32, 24)
    fused = row(**row.quick)(*eyes.degrade(scene), eyes)
    torch.testing.assert_close(fused, scene, atol=1e-4, rtol=0)


@every_method
def test_mixed_precision_changes_nothing(row):
    eyes = sensors(2, border="reflect")
    pair = eyes.degrade(full_rank_scene())
    method = row(**row.quick)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = method(*pair, eyes)
    torch.testing.assert_close(mixed, method(*pair, eyes), rtol=0, atol=0)


@every_method
def test_a_batch_is_fused_image_by_image_the_same_every_time_and_in_float32(row):
    eyes = sensors(2, border="reflect")
    scenes = torch.cat([full_rank_scene(seed=seed) for seed in (1, 2)])
    lr_hsi, hr_msi = eyes.degrade(scenes)
    method = row(**row.quick)
    fused = method(lr_hsi, hr_msi, eyes)
    assert fused.dtype == torch.float32
    assert torch.equal(fused, method(lr_hsi, hr_msi, eyes))
    for i in range(2):
        torch.testing.assert_close(
            fused[i : i + 1], method(lr_hsi[i : i + 1], hr_msi[i : i + 1], eyes), atol=1e-5, rtol=0
        )


@every_method
def test_random_numbers_of_others_are_left_alone(row):
    eyes = sensors(2)
    pair = eyes.degrade(full_rank_scene())
    before = torch.get_rng_state()
    row(**row.quick)(*pair, eyes)
    assert torch.equal(before, torch.get_rng_state())


def dead_bands(scene):
    scene[:, [0, 3]] = 0


def dead_pixels(scene):
    scene[..., 4:12, :9] = 0


def all_dead(scene):
    scene.zero_()


def one_bright_pixel(scene):
    scene.zero_()[..., 5, 6] = 1


def nothing(scene): ...


HARD = {
    "dead bands": (dead_bands, {}),
    "dead pixels": (dead_pixels, {}),
    "all dead": (all_dead, {}),
    "one bright pixel": (one_bright_pixel, {}),
    "one-band guide": (nothing, {"msi_bands": 1}),
    "border of zeros": (nothing, {"border": "constant"}),
    "noise": (nothing, {"snr": 20.0}),
}


@every_method
@pytest.mark.parametrize(("damage", "options"), HARD.values(), ids=HARD)
def test_hard_images_give_finite_answers(row, damage, options):
    scene = full_rank_scene(24, 20)
    damage(scene)
    eyes = sensors(4, **{"border": "reflect"} | options)
    fused = row(**row.quick)(*eyes.degrade(scene), eyes)
    assert fused.isfinite().all()
    assert fused.abs().max() < 5


@every_method
@pytest.mark.parametrize(("rows", "cols"), [(8, 8), (4, 12), (4, 4)])
def test_more_bands_than_low_resolution_pixels_give_finite_answers(row, rows, cols):
    eyes = sensors(4, bands=40, border="replicate")
    scene = full_rank_scene(rows, cols, bands=40) if rows > 4 else torch.full((1, 40, rows, cols), 0.3)
    fused = row(**row.quick)(*eyes.degrade(scene), eyes)
    assert fused.shape == scene.shape
    assert fused.isfinite().all()


@every_method
@pytest.mark.parametrize("preset", ["wald", "paper", "3dt"])
def test_detail_is_won_up_to_the_border(row, preset):
    eyes = Sensors.preset(preset, 4, response())
    scene = mixed_scene(rank=4, rows=64, cols=64)[..., :56, :60]
    lr_hsi, hr_msi = eyes.degrade(scene)
    fused = row()(lr_hsi, hr_msi, eyes)
    interpolated = upsample(lr_hsi, 4, eyes.phase)
    ring = torch.ones(56, 60, dtype=torch.bool)
    ring[4:-4, 4:-4] = False

    def errors(image):
        return (image - scene).square().mean(1)[0]

    assert errors(fused)[ring].mean() < 0.2 * errors(interpolated)[ring].mean()
    assert errors(fused)[ring].mean() < max(1e-4, 3 * errors(fused)[~ring].mean())


@every_method
def test_told_the_wrong_phase_it_does_worse(row):
    eyes, wrong = sensors(4, 0.0, sigma=0.8), sensors(4, 3.0, sigma=0.8)
    scene = mixed_scene(rank=4)
    pair = eyes.degrade(scene)
    assert psnr(row()(*pair, eyes), scene) > psnr(row()(*pair, wrong), scene) + 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FUSE(components=0), "components >= 1"),
        (lambda: FUSE(prior="sparse"), "prior 'sparse'"),
        (lambda: HySure(penalty=0), "penalty 0"),
        (lambda: LTMR(patch=3, step=4), "step <= patch .* patch 3, step 4"),
        (lambda: LTMR(growth=0.9), "growth 0.9"),
        (lambda: CNMF(endmembers=0), "endmembers 0"),
        (lambda: TV(smoothness=0), "smoothness 0"),
        (lambda: SupResPALM(steps=0), "steps 0"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_line(make, message):
    with pytest.raises(UserError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
