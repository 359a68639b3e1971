"""How images are cut: everything is covered once, tiles begin where they must."""

import numpy as np
import pytest

from cofusion.inference.tiles import Tiling, plan


@pytest.mark.parametrize("overlap", [0, 1, 7, 16])
@pytest.mark.parametrize("size", [1, 15, 16, 17, 31, 33, 64, 100])
def test_weights_of_all_tiles_add_up_to_one_at_every_pixel(size, overlap):
    total = np.zeros(size)
    for span in Tiling(size, size, 16, overlap, 4).down():
        assert 0 <= span.first <= span.start < span.stop <= span.kept <= span.last <= size
        total[span.start : span.kept] += span.weights(overlap)
    np.testing.assert_allclose(total, 1, rtol=1e-6)


def test_seams_go_smoothly_from_one_tile_to_the_next():
    first, second = Tiling(32, 32, 16, 8, 0).down()
    falling, rising = first.weights(8)[16:], second.weights(8)[:8]
    np.testing.assert_allclose(falling, [1 - (i + 0.5) / 8 for i in range(8)])
    np.testing.assert_allclose(rising, [(i + 0.5) / 8 for i in range(8)])


@pytest.mark.parametrize("scale", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("step", [1, 4, 16])
def test_tiles_begin_on_the_grids_of_the_lr_image_and_of_the_network(scale, step):
    tiling = plan(70 * scale, 90 * scale, scale, step, tile=50, overlap=5, margin=9)
    assert tiling.tile >= 50 and tiling.overlap >= 5 and tiling.margin >= 9
    # GeoTIFF's blocks.
    assert tiling.tile % 16 == 0
    for span in (*tiling.down(), *tiling.across()):
        assert span.first % scale == span.first % step == 0
        assert span.last % scale == 0


def test_margins_are_whole_but_at_the_border_of_the_image():
    spans = Tiling(100, 100, 32, 8, 16).down()
    assert [span.first for span in spans] == [0, 16, 48, 80]
    assert [span.last for span in spans] == [56, 88, 100, 100]
