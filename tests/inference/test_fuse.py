"""Fusing in memory: tiles equal the whole, in and out of every kind, pixels without data."""

import numpy as np
import pytest
import torch

from cofusion import CoFusion, fuse
from cofusion.errors import UserError
from cofusion.models import Bicubic, Provenance
from cofusion.scenes import Georeference, Scene
from command import SHALLOW
from raster_pair import PLACE


def small_net(**options):
    torch.manual_seed(0)
    net = CoFusion(5, 3, 4, **({"dim": 8, "phase": 1.5, "pool_extent": 32} | SHALLOW | options)).eval()
    # As after training: a new network's detail is next to nothing beside the interpolated LRHSI.
    torch.nn.init.normal_(net.head[-1].weight, std=0.3)
    return net


def images(rows=40, cols=48, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lr = torch.rand(5, rows, cols, generator=generator)
    hr = torch.rand(3, 4 * rows, 4 * cols, generator=generator)
    return lr, hr


def whole(net, lr, hr):
    with torch.inference_mode():
        return net(lr[None], hr[None])[0].clamp(0, 1)


@pytest.mark.parametrize("tile", [16, 48, 64])
@pytest.mark.parametrize("overlap", [0, 8])
def test_bicubic_in_tiles_is_bicubic(tile, overlap):
    lr, hr = images(13, 21)
    expected = whole(Bicubic(4), lr, hr)
    fused = fuse(lr, hr, "bicubic", tile=tile, overlap=overlap)
    torch.testing.assert_close(fused, expected, rtol=0, atol=1e-6)
    assert (fuse(lr, hr, "bicubic", tile=tile, overlap=0, margin=0) - expected).abs().max() > 1e-3


def test_a_network_in_tiles_is_the_network_within_what_its_margin_allows():
    net, (lr, hr) = small_net(), images()
    expected = whole(net, lr, hr)
    spread = (expected - whole(Bicubic(4, 1.5), lr, hr)).abs().mean()
    assert spread > 0.01  # the network does something
    errors = [
        (fuse(lr, hr, net, tile=64, margin=margin) - expected).abs().max().item() for margin in (0, 32, 64)
    ]
    assert errors[0] > 1e-2 > 1e-4 > errors[1]
    assert errors[2] < 2e-6


def test_a_scene_smaller_than_a_tile_is_fused_whole():
    net, (lr, hr) = small_net(pool_extent=None), images(3, 5)
    assert torch.equal(fuse(lr, hr, net), whole(net, lr, hr))


def test_phase_and_scaling_are_those_asked_for():
    lr, hr = images(6, 7)
    expected = whole(Bicubic(4, 0.0), lr, hr)
    assert torch.equal(fuse(lr, hr, "bicubic", phase=0.0), expected)
    fused = fuse(200 * lr.numpy(), 50 * hr.numpy(), "bicubic", phase=0.0, hsi_scaling=200, msi_scaling=50)
    torch.testing.assert_close(fused, expected)


def scene(name, cube, pixel, nodata=None):
    place = Georeference("EPSG:32633", (pixel, 0.0, 500000.0, 0.0, -pixel, 4200000.0))
    return Scene(name, cube, None, 1.0, "test", place, nodata)


def test_two_scenes_give_a_scene_at_the_place_of_the_finer_one():
    lr, hr = images(6, 7)
    fused = fuse(scene("coarse", lr, 40), scene("fine", hr, 10), "bicubic")
    assert isinstance(fused, Scene) and fused.nodata is None
    assert fused.georeference.transform == tuple(PLACE)[:6]
    assert torch.equal(fused.cube, whole(Bicubic(4), lr, hr))


def test_pixels_without_data_are_carried_over_and_do_not_ring():
    lr, hr = torch.full((5, 10, 12), 0.5), torch.full((3, 40, 48), 0.5)
    lr[0, 0, 0], hr[0, 0, 0] = 0.4, 0.4
    holes = torch.zeros(10, 12, dtype=torch.bool), torch.zeros(40, 48, dtype=torch.bool)
    holes[0][6:8, 3:5], holes[1][20:27, 30:33] = True, True
    pair = []
    for name, cube, pixel, hole in (("coarse", lr, 40, holes[0]), ("fine", hr, 10, holes[1])):
        cube[:, hole] = 0
        pair.append(scene(name, cube, pixel, hole))
    fused = fuse(*pair, "bicubic", tile=16)
    expected = holes[0].repeat_interleave(4, 0).repeat_interleave(4, 1) | holes[1]
    assert torch.equal(fused.nodata, expected)
    flat = fused.cube[1:, ~expected]
    torch.testing.assert_close(flat, torch.full_like(flat, 0.5), rtol=0, atol=1e-6)


def test_a_hole_changes_nothing_far_from_it():
    net, (lr, hr) = small_net(), images()
    expected = fuse(lr, hr, net, tile=64, margin=64)
    hr[:, 70:80, 70:90] = np.nan
    fused = fuse(lr, hr, net, tile=64, margin=64)
    assert fused[:, 70:80, 70:90].isnan().all() and int(fused[0].isnan().sum()) == 200
    assert fused[:, :, :90].nan_to_num(0).sub(expected[:, :, :90]).abs().max() > 1e-3
    torch.testing.assert_close(fused[:, :, 160:], expected[:, :, 160:], rtol=0, atol=1e-4)


def test_tiles_without_data_are_not_computed():
    calls = []

    class Counting(Bicubic):
        def forward(self, lr_hsi, hr_msi):
            calls.append(hr_msi.shape)
            return super().forward(lr_hsi, hr_msi)

    lr, hr = images(16, 16)
    hr[:, :, 32:] = np.nan
    fused = fuse(lr, hr, Counting(4), tile=16, overlap=0)
    assert len(calls) == 8 and fused[:, :, 32:].isnan().all() and not fused[:, :, :32].isnan().any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lr, hr: (lr[:4], hr), "for 5 HSI bands, lr_hsi has 4"),
        (lambda lr, hr: (lr, hr[:2]), "for 3 MSI bands, hr_msi has 2"),
        (lambda lr, hr: (lr, hr[:, :24, :28]), "scale 4, the two images have 2"),
        (lambda lr, hr: (hr, lr), "look swapped"),
        (lambda lr, hr: (lr, hr[:, :-1]), "must cover the same area"),
        (lambda lr, hr: (lr[0], hr), "expected \\(bands, rows, cols\\)"),
        (lambda lr, hr: (lr * 5000, hr), "divided by 1"),
        (lambda lr, hr: (lr * 0 + 0.5, hr), "all values of lr_hsi"),
        (lambda lr, hr: (lr, hr * np.nan), "no pixel of hr_msi"),
    ],
)
def test_images_that_do_not_fit_the_network(change, message):
    lr, hr = images(12, 14)
    with pytest.raises(UserError, match=message):
        fuse(*change(lr, hr), small_net())


@pytest.mark.parametrize(
    ("nm", "message"),
    [
        ((400.0, 450.0, 500.0, 550.0, 600.0), None),
        ((401.0, 451.0, 501.0, 551.0, 601.0), None),
        (
            (600.0, 550.0, 500.0, 450.0, 400.0),
            "in another order: band 1 is at 600.0 nm, the weights' at 400.0",
        ),
        ((400.0, 450.0, 500.0, 550.0, 700.0), "other bands than the weights: band 5 is at 700.0 nm"),
    ],
)
def test_wavelengths_are_those_of_the_weights(nm, message):
    lr, hr = images(6, 7)
    net = small_net()
    net.provenance = Provenance(wavelengths=(400.0, 450.0, 500.0, 550.0, 600.0))
    lr_hsi = Scene("coarse", lr, torch.tensor(nm), 1.0, "test")
    hr_msi = Scene("fine", hr, None, 1.0, "test")
    if message is None:
        assert fuse(lr_hsi, hr_msi, net).cube.shape == (5, 24, 28)
    else:
        with pytest.raises(UserError, match=message):
            fuse(lr_hsi, hr_msi, net)


def test_multispectral_bands_in_another_order():
    lr, hr = images(6, 7)
    net = small_net()
    identity = tuple(tuple(float(i == 2 * j) for i in range(5)) for j in range(3))
    net.provenance = Provenance(wavelengths=(450.0, 500.0, 550.0, 600.0, 650.0), response_weights=identity)
    lr_hsi = Scene("coarse", lr, None, 1.0, "test")
    assert fuse(lr_hsi, Scene("fine", hr, torch.tensor([455.0, 560.0, 640.0]), 1.0, "test"), net)
    with pytest.raises(UserError, match="fine has the bands of the weights in another order"):
        fuse(lr_hsi, Scene("fine", hr, torch.tensor([640.0, 560.0, 455.0]), 1.0, "test"), net)


def test_unknown_methods_devices_and_options():
    lr, hr = images(6, 7)
    with pytest.raises(UserError, match="choose one of: bicubic"):
        fuse(lr, hr, "magic")
    with pytest.raises(UserError, match="no device 'tin'"):
        fuse(lr, hr, "bicubic", device="tin")
    with pytest.raises(UserError, match="at least 1 pixel"):
        fuse(lr, hr, "bicubic", tile=0)
    with pytest.raises(TypeError, match="tiles"):
        fuse(lr, hr, "bicubic", tiles=3)
    with pytest.raises(UserError, match=r"for phase 1\.5, not 0"):
        fuse(lr, hr, small_net(), phase=0.0)
