import itertools

import numpy as np
import pytest
import torch

from cofusion.data import Pair, TrainingCrops, WholeRegions, Window
from cofusion.data import crops as crops_module
from cofusion.data.sampling import Draw
from cofusion.scenes import Synthetic
from cofusion.sensors import GaussianPSF, Sensors, SpectralResponse

SCALE, PATCH = 4, 16


RESPONSE = SpectralResponse.pick([1, 4], 6)
LOPSIDED = torch.rand(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=["paper", "wald", "3dt", "lopsided"])
def sensors(request):
    if request.param == "lopsided":
        return Sensors(LOPSIDED / LOPSIDED.sum(), SCALE, 1.0, "symmetric", RESPONSE)
    return Sensors.preset(request.param, SCALE, RESPONSE)


def simulate(sensors, name="synthetic_0", size=64, flips=True):
    return Pair.simulate(Synthetic(bands=6, size=size).read(name), sensors, flips)


def crops(pair_list, corners, augment=True, length=50):
    return TrainingCrops(pair_list, corners, PATCH, SCALE, length, seed=3, augment=augment)


@pytest.mark.parametrize(("rows", "cols", "transpose"), list(itertools.product((False, True), repeat=3)))
def test_a_turned_crop_is_what_the_sensors_see_of_the_turned_scene(
    sensors, monkeypatch, rows, cols, transpose
):
    pair = simulate(sensors, size=66)
    data = crops([pair], [torch.tensor([[6, 2]])])
    monkeypatch.setattr(crops_module, "draw", lambda *_: Draw(0, rows, cols, transpose))
    batch = data[0]

    def turn(image):
        image = image.flip([axis for axis, flip in ((-2, rows), (-1, cols)) if flip])
        return image.transpose(-2, -1) if transpose else image

    scene = turn(sensors.crop(pair.hr_hsi))
    lr_hsi, hr_msi = sensors.degrade(scene)
    # Where the crop went is told by a map of the full-resolution coordinates, turned alike.
    places = turn(torch.arange(64 * 64).reshape(64, 64))
    corner = (places == places[turn(torch.ones(64, 64, dtype=torch.bool))].min()).nonzero()
    assert len(corner) == 1
    window = turn(torch.nn.functional.pad(torch.ones(PATCH, PATCH), (8, 40, 24, 24))).nonzero()
    (top, left), (bottom, right) = window.min(0).values.tolist(), (window.max(0).values + 1).tolist()
    torch.testing.assert_close(batch["hr_hsi"][0], scene[:, top:bottom, left:right])
    torch.testing.assert_close(batch["hr_msi"][0], hr_msi[:, top:bottom, left:right])
    expected = lr_hsi[:, top // SCALE : bottom // SCALE, left // SCALE : right // SCALE]
    torch.testing.assert_close(batch["lr_hsi"][0], expected)


def test_crops_come_from_where_their_names_say(sensors):
    scenes = [simulate(sensors, name) for name in ("synthetic_0", "synthetic_1")]
    corners = [torch.tensor([[0, 0], [3, 5]]), torch.tensor([[12, 12], [7, 1], [2, 2]])]
    data = crops(scenes, corners, augment=False)
    batch = data.__getitems__(range(50))
    assert batch["hr_hsi"].shape == (50, 6, 16, 16)
    assert batch["hr_msi"].shape == (50, 2, 16, 16)
    assert batch["lr_hsi"].shape == (50, 6, 4, 4)
    expected = {}
    for scene, own in zip(scenes, corners, strict=True):
        for row, col in (own * SCALE).tolist():
            name = f"{scene.name}[{row}:{row + 16}, {col}:{col + 16}]"
            expected[name] = scene.hr_hsi[:, row : row + 16, col : col + 16]
    assert set(batch["name"]) == set(expected)
    for name, image in zip(batch["name"], batch["hr_hsi"], strict=True):
        assert torch.equal(image, expected[name])


def test_a_batch_is_its_samples(sensors):
    data = crops([simulate(sensors)], [torch.cartesian_prod(torch.arange(13), torch.arange(13))])
    together = data.__getitems__([5, 9, 105])
    for i, number in enumerate((5, 9, 105)):
        alone = data[number]
        assert alone["name"] == [together["name"][i]]
        for key in ("lr_hsi", "hr_msi", "hr_hsi"):
            assert torch.equal(alone[key][0], together[key][i])


def test_a_batch_is_a_copy(sensors):
    pair = simulate(sensors)
    before = pair.hr_hsi.clone()
    crops([pair], [torch.tensor([[0, 0]])])[0]["hr_hsi"].zero_()
    assert torch.equal(pair.hr_hsi, before)


def test_whole_regions_are_cut_from_the_degraded_scene(sensors):
    pair = simulate(sensors, size=66, flips=False)
    window = Window((8, 40), (12, 64))
    (batch,) = (WholeRegions([("part", pair, window)], SCALE)[0],)
    lr_hsi, hr_msi = sensors.degrade(pair.hr_hsi)
    assert batch["name"] == ["part"]
    assert torch.equal(batch["hr_hsi"][0], pair.hr_hsi[:, 8:40, 12:64])
    assert torch.equal(batch["hr_msi"][0], hr_msi[:, 8:40, 12:64])
    assert torch.equal(batch["lr_hsi"][0], lr_hsi[:, 2:10, 3:16])
    assert all(batch[key].is_contiguous() for key in ("lr_hsi", "hr_msi", "hr_hsi"))


def test_centred_samples_are_stored_once():
    wald = simulate(Sensors.preset("wald", SCALE, RESPONSE))
    paper = simulate(Sensors.preset("paper", SCALE, RESPONSE))
    lopsided = simulate(Sensors(LOPSIDED / LOPSIDED.sum(), SCALE, 1.0, "reflect", RESPONSE))
    turned = simulate(Sensors.preset("wald", SCALE, RESPONSE, psf=GaussianPSF(sigma=[3.0, 1.0])))
    for pair, images in ((wald, 1), (paper, 4), (lopsided, 8), (turned, 2)):
        assert len(pair.lr_hsi) == 8
        assert len({image.data_ptr() for image in pair.lr_hsi}) == images
    assert not np.allclose(paper.lr_hsi[0], paper.lr_hsi[3])


@pytest.mark.parametrize("preset", ["paper", "wald", "3dt"])
def test_noise_belongs_to_the_scene_and_turns_with_it(preset, monkeypatch):
    clean = simulate(Sensors.preset(preset, SCALE, RESPONSE))
    noisy_sensors = Sensors.preset(preset, SCALE, RESPONSE, hsi_snr=20, msi_snr=25)
    noisy = simulate(noisy_sensors)
    lr_hsi, hr_msi = noisy_sensors.degrade(noisy.hr_hsi, noisy.name)
    assert torch.equal(noisy.lr_hsi[0], lr_hsi) and torch.equal(noisy.hr_msi, hr_msi)
    noise = lr_hsi - clean.lr_hsi[0]
    assert (noise != 0).any((1, 2)).all()
    corner = torch.tensor([[5, 2]])
    for turn in itertools.product((False, True), repeat=3):
        monkeypatch.setattr(crops_module, "draw", lambda *_, turn=turn: Draw(0, *turn))
        with_noise, without = (crops([pair], [corner])[0] for pair in (noisy, clean))
        window = noise[:, 5:9, 2:6].flip([axis for axis, flip in ((1, turn[0]), (2, turn[1])) if flip])
        expected = window.transpose(1, 2) if turn[2] else window
        torch.testing.assert_close((with_noise["lr_hsi"] - without["lr_hsi"])[0], expected)
        assert torch.equal(with_noise["hr_hsi"], without["hr_hsi"])
