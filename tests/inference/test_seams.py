"""No seams on a real scene: at the borders of tiles nothing changes more than elsewhere."""

import pytest
import torch

from cofusion import CoFusion, fuse
from cofusion.scenes import IndianPines
from cofusion.sensors import GaussianResponse, Sensors
from command import SHALLOW

SIZE, TILE = 144, 48


@pytest.fixture(scope="module")
def pair():
    scene = IndianPines("data").read("indian_pines")
    response = GaussianResponse([482, 561, 655, 865], [60, 57, 37, 28])(scene.wavelengths)
    lr_hsi, hr_msi = Sensors.preset("wald", 4, response).degrade(scene.cube[:, :SIZE, :SIZE])
    return lr_hsi[::5], hr_msi


def network(bands, extent):
    torch.manual_seed(0)
    net = CoFusion(bands, 4, 4, dim=16, phase=1.5, pool_extent=extent, **SHALLOW).eval()
    # A new network adds next to nothing; this one adds detail as strong as a tenth of the signal.
    torch.nn.init.normal_(net.head[-1].weight, std=0.1)
    return net


def steps(image, axis):
    """Mean absolute difference between neighbours, for each pair of rows or columns."""
    return image.diff(dim=axis).abs().mean(dim=(0, 3 - axis))


def at_borders(values, overlap):
    """Those between the tiles, and those within the seams, whose blending begins and ends there."""
    places = {start + shift - 1 for start in (TILE, 2 * TILE) for shift in (0, overlap)}
    return values[sorted(places)]


def excess(tiled, whole, axis, overlap):
    """How much steeper the borders of tiles are than the scene itself is anywhere, in parts of that."""
    return float((at_borders(steps(tiled - whole, axis), overlap) / steps(whole, axis).mean()).max())


@pytest.mark.parametrize("extent", [None, 32])
def test_borders_of_tiles_are_no_steps(pair, extent):
    net = network(len(pair[0]), extent)
    whole = fuse(*pair, net, tile=SIZE)
    assert (whole - fuse(*pair, "bicubic")).abs().mean() > 0.01
    tiled = fuse(*pair, net, tile=TILE)
    for axis in (1, 2):
        inside = steps(tiled, axis)
        assert at_borders(inside, 16).max() < 1.05 * max(inside.max(), steps(whole, axis).max())
        assert excess(tiled, whole, axis, 16) < 0.01
        # The measure sees seams: without margins and blending they are there.
        assert excess(fuse(*pair, net, tile=TILE, margin=0, overlap=0), whole, axis, 0) > 0.1


def test_tiles_of_a_real_scene_equal_the_whole_as_the_report_of_tiles_says(pair):
    net = network(len(pair[0]), 32)
    whole = fuse(*pair, net, tile=SIZE)
    # docs/paper-notes.md: 1e-4 with a margin of 32, the last digits of float32 with 64.
    assert (fuse(*pair, net, tile=TILE) - whole).abs().max() < 1e-4
    assert (fuse(*pair, net, tile=TILE, margin=64) - whole).abs().max() < 1e-6
