"""Crops that never leak: proven by asking autograd which pixels of a scene reach which sample."""

import itertools
from types import SimpleNamespace

import pytest
import torch

from cofusion.data import (
    EpochSampler,
    Pair,
    ShardSampler,
    TrainingCrops,
    WholeRegions,
    Window,
    allowed_corners,
)
from cofusion.data.sampling import draw
from cofusion.sensors import Sensors, SpectralResponse

ROWS, COLS = 80, 112
# In the middle, in a corner, and off the grid of every scale.
HELD_OUT = (Window((32, 48), (40, 56)), Window((0, 8), (96, 112)), Window((53, 59), (5, 11)))
FLIPS = tuple(itertools.product((False, True), repeat=2))


def sensors(preset, scale):
    return Sensors.preset(preset, scale, SpectralResponse.pick([0], 1))


def footprint(pair, scene, window):
    """Return which pixels of the scene contribute to a held-out sample.

    All weights are positive, so a pixel contributes exactly where the gradient of the sample's sum is not 0.
    """
    (top, bottom), (left, right), scale = window.rows, window.cols, pair.scale
    lr_hsi, hr_msi = pair.degrade(scene)
    inside = (slice(None), slice(top, bottom), slice(left, right))
    blocks = (slice(None), slice(top // scale, bottom // scale), slice(left // scale, right // scale))
    total = scene[inside].sum() + hr_msi[inside].sum() + lr_hsi[blocks].sum()
    (gradient,) = torch.autograd.grad(total, scene)
    return gradient[0] != 0


def grid(window, scale):
    return Window(
        *((-(-first // scale) * scale, last // scale * scale) for first, last in (window.rows, window.cols))
    )


@pytest.mark.parametrize("preset", ["paper", "wald"])
@pytest.mark.parametrize(("scale", "patch"), [(2, 8), (4, 16), (8, 16), (5, 10)])
def test_no_pixel_reaches_both_a_crop_and_a_held_out_region(preset, scale, patch):
    pair = sensors(preset, scale)
    scene = torch.rand(1, ROWS // scale * scale, COLS // scale * scale, requires_grad=True)
    held = torch.zeros(scene.shape[1:], dtype=torch.bool)
    for window in HELD_OUT:
        held |= footprint(pair, scene, grid(window, scale))
        held[slice(*window.rows), slice(*window.cols)] = True
    # A low-resolution sample of the map of held pixels is 0 exactly where it depends on none of them.
    mixed = torch.stack([pair.lr_hsi(held[None].double(), *flips)[0] > 0 for flips in FLIPS]).any(0)

    whole = Window((0, scene.shape[1]), (0, scene.shape[2]))
    corners = allowed_corners(whole, HELD_OUT, patch, scale, pair.support)
    allowed = {tuple(corner) for corner in corners.tolist()}
    assert len(allowed) == len(corners) > 0
    side, leaking = patch // scale, set()
    for i, j in itertools.product(*(range((size - patch) // scale + 1) for size in scene.shape[1:])):
        own = held[i * scale : i * scale + patch, j * scale : j * scale + patch]
        if own.any() or mixed[i : i + side, j : j + side].any():
            leaking.add((i, j))
    assert leaking and not leaking & allowed
    # Little is given away: the bound is the same on all sides, the paper's kernel reaches out on two of them.
    every = {(i, j) for i in range(mixed.shape[0] - side + 1) for j in range(mixed.shape[1] - side + 1)}
    assert len(every - leaking - allowed) <= 0.1 * len(every)


def test_without_held_out_regions_every_corner_of_the_region_is_allowed():
    corners = allowed_corners(Window((8, 32), (4, 20)), [], patch=8, scale=4, support=3)
    assert corners.tolist() == [[i, j] for i in range(2, 7) for j in range(1, 4)]


def test_no_corner_where_the_patch_does_not_fit():
    assert allowed_corners(Window((0, 12), (0, 64)), [], 16, 4, 1).shape == (0, 2)


@pytest.mark.parametrize("preset", ["paper", "wald"])
def test_samples_of_a_scene_with_poisoned_regions_stay_clean(preset):
    """The same from the other side, through the data sets: NaN in one part never shows in the other."""
    scale, patch, pair_of = 4, 16, sensors(preset, 4)
    region = Window((0, 64), (0, 48))
    watched = (Window((0, 64), (68, 80)), Window((24, 40), (0, 8)))
    corners = allowed_corners(region, watched, patch, scale, pair_of.support)

    def pair(cube):
        runs = [(slice(None), cube)]
        scene = SimpleNamespace(name="x", cube=cube, mapped=None, georeference=None, runs=lambda: runs)
        return Pair.simulate(scene, pair_of, flips=True)

    def crops(scene):
        data = TrainingCrops([scene], [corners], patch, scale, length=400, seed=0, augment=True)
        return [data[i] for i in range(len(data))]

    def finite(batch):
        return all(torch.isfinite(batch[key]).all() for key in ("lr_hsi", "hr_msi", "hr_hsi"))

    poisoned = torch.rand(1, 64, 80)
    for window in watched:
        poisoned[:, slice(*window.rows), slice(*window.cols)] = torch.nan
    assert all(finite(batch) for batch in crops(pair(poisoned)))

    seen = torch.zeros(64, 80, dtype=torch.bool)
    for row, col in (corners * scale).tolist():
        seen[row : row + patch, col : col + patch] = True
    poisoned = torch.rand(1, 64, 80)
    poisoned[:, seen] = torch.nan
    scene = pair(poisoned)
    held = WholeRegions([("x", scene, window) for window in watched], scale)
    assert all(finite(held[i]) for i in range(len(held)))
    assert not any(finite(batch) for batch in crops(scene))


def test_draws_are_a_function_of_seed_and_number():
    again = [[draw(7, number, 1000, True) for number in range(50)] for _ in range(2)]
    assert again[0] == again[1]
    assert again[0] != [draw(8, number, 1000, True) for number in range(50)]
    assert again[0] != [draw(7, number, 1000, True) for number in range(50, 100)]


def test_draws_are_uniform_over_corners_and_orientations():
    drawn = [draw(1, number, 10, True) for number in range(8000)]
    for key, kinds in ((lambda d: d.corner, 10), (lambda d: (d.flip_rows, d.flip_cols, d.transpose), 8)):
        counts = [sum(key(one) == kind for one in drawn) for kind in {key(one) for one in drawn}]
        assert len(counts) == kinds
        # Five standard deviations of a binomial count.
        assert all(abs(n - 8000 / kinds) < 5 * (8000 / kinds) ** 0.5 for n in counts)


def test_without_augmentation_crops_are_upright():
    drawn = [draw(1, number, 10, False) for number in range(20)]
    assert not any(one.flip_rows or one.flip_cols or one.transpose for one in drawn)
    assert len({one.corner for one in drawn}) > 3


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_an_epoch_in_equal_parts(world):
    samplers = [EpochSampler(range(20), world, rank) for rank in range(world)]
    for epoch in (0, 4):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        numbers = [list(sampler) for sampler in samplers]
        assert {len(own) for own in numbers} == {len(samplers[0])} == {20 // world}
        together = sorted(itertools.chain(*numbers))
        assert together == list(range(epoch * 20, epoch * 20 + 20 // world * world))


@pytest.mark.parametrize("world", [1, 2, 3])
def test_an_epoch_goes_on_where_it_was_left(world):
    for rank in range(world):
        sampler, resumed = (EpochSampler(range(20), world, rank) for _ in range(2))
        resumed.go_on(epoch=4, done=2)
        sampler.set_epoch(4)
        assert list(resumed) == list(sampler)[2:]
        assert len(resumed) == len(sampler)
        for each in (sampler, resumed):
            each.set_epoch(5)
        assert list(resumed) == list(sampler)


@pytest.mark.parametrize(("length", "world"), [(5, 1), (5, 2), (11, 4), (3, 3)])
def test_shards_hold_every_sample_once(length, world):
    shards = [ShardSampler(range(length), world, rank) for rank in range(world)]
    assert sorted(itertools.chain(*shards)) == list(range(length))
    assert [len(shard) for shard in shards] == [len(list(shard)) for shard in shards]
