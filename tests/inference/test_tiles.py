"""How images are cut: everything is covered once, tiles begin where they must."""

import numpy as np
import pytest

from cofusion.inference.tiles import Tiling, plan


@pytest.mark.parametrize("overlap", [0, 1, 7, 16])
@pytest.mark.parametrize("size", [1, 15, 16, 17, 31, 33, 64, 100])
def test_weights_of_all_tiles_add_up_to_one_at_every_pixel(size, overlap):
    total = np.zeros(size)
    for span in Tiling(size, size, 16, 16, overlap, 4, 1).down():
        assert 0 <= span.first <= span.start < span.stop <= span.kept <= span.last <= size
        total[span.start : span.kept] += span.weights(overlap)
    np.testing.assert_allclose(total, 1, rtol=1e-6)


def test_seams_go_smoothly_from_one_tile_to_the_next():
    first, second = Tiling(32, 32, 16, 16, 8, 0, 1).down()
    falling, rising = first.weights(8)[16:], second.weights(8)[:8]
    np.testing.assert_allclose(falling, [1 - (i + 0.5) / 8 for i in range(8)])
    np.testing.assert_allclose(rising, [(i + 0.5) / 8 for i in range(8)])


@pytest.mark.parametrize("scale", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("step", [1, 4, 16])
def test_tiles_begin_on_the_grids_of_the_lr_image_and_of_the_network(scale, step):
    tiling = plan(70 * scale, 90 * scale, scale, step, tile=50, overlap=5, margin=9)
    assert tiling.overlap >= 5 and tiling.margin >= 9
    # GeoTIFF's blocks.
    assert tiling.height % 16 == 0
    for span in (*tiling.down(), *tiling.across()):
        assert span.start % scale == span.start % step == span.first % scale == span.first % step == 0
        assert span.last % scale == 0


def test_an_image_is_divided_evenly():
    tiling = plan(64, 2328, 8, 4, tile=256, overlap=16, margin=32)
    assert (tiling.height, tiling.width) == (64, 240)
    assert [span.stop - span.start for span in tiling.across()] == [240] * 9 + [168]


def test_tiles_see_their_margins_and_have_one_size():
    for size, margin in ((100, 16), (320, 32), (50, 16)):
        spans = Tiling(size, size, 32, 32, 8, margin, 4).down()
        seen = min(size, 32 + 8 + 2 * margin)
        for span in spans:
            assert span.first <= max(0, span.start - margin) and span.last >= min(size, span.kept + margin)
            assert span.last - span.first == seen
