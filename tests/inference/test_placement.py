"""Whether two images belong together: grids compared, areas cropped, every misfit told in numbers."""

import numpy as np
import pytest
from rasterio import Affine

from cofusion.errors import UserError
from cofusion.inference.images import image_of, open_image
from cofusion.inference.placement import pair_up
from raster_pair import CRS, PLACE, SCALE, RasterPair, write_raster


@pytest.fixture
def pair(tmp_path):
    return RasterPair(tmp_path)


def opened(pair):
    return open_image(pair.lr_hsi), open_image(pair.hr_msi)


def refusal(pair, *args):
    with pytest.raises(UserError) as error:
        pair_up(*opened(pair), *args)
    assert "\n" not in str(error.value)
    return str(error.value)


def all_of(image):
    return image.load(slice(None), slice(None))


def test_images_of_one_area_are_taken_whole(pair):
    found = pair_up(*opened(pair))
    assert found.scale == SCALE and not found.notes
    np.testing.assert_array_equal(all_of(found.lr_hsi), pair.lr_values)
    np.testing.assert_array_equal(all_of(found.hr_msi), pair.hr_values)
    assert found.georeference.transform == tuple(PLACE)[:6]


@pytest.mark.parametrize(("top", "left"), [(8, 12), (5, 3), (-8, -4), (-6, 7)])
def test_the_common_area_lies_on_the_lr_grid(pair, top, left):
    # The HRMSI begins `top` rows below and `left` columns right of the LRHSI, in its own pixels.
    hr = np.random.default_rng(0).integers(1, 9, (4, 64, 80)).astype(np.uint16)
    pair.write_hr(hr, transform=PLACE * Affine.translation(left, top))
    found = pair_up(*opened(pair))
    down, right = -(-max(top, 0) // SCALE), -(-max(left, 0) // SCALE)
    _, h, w = found.lr_hsi.shape
    assert h == min(16, (64 + top) // SCALE) - down and w == min(20, (80 + left) // SCALE) - right
    np.testing.assert_array_equal(all_of(found.lr_hsi), pair.lr_values[:, down : down + h, right : right + w])
    rows, cols = down * SCALE - top, right * SCALE - left
    expected = hr[:, rows : rows + h * SCALE, cols : cols + w * SCALE]
    np.testing.assert_array_equal(all_of(found.hr_msi), expected)
    corner = PLACE * (right * SCALE, down * SCALE)
    assert (found.georeference.transform[2], found.georeference.transform[5]) == corner
    assert "share" in found.notes[0]


def test_samples_at_the_first_pixel_of_each_block_are_found_there(pair):
    # A sample at phase 0 is the centre of an LR pixel that begins 1.5 HR pixels before its block.
    pair.write_lr(transform=PLACE * Affine.translation(-1.5, -1.5) * Affine.scale(SCALE))
    found = pair_up(*opened(pair), SCALE, 0.0)
    assert found.lr_hsi.shape[1:] == (16, 20)
    np.testing.assert_array_equal(all_of(found.hr_msi), pair.hr_values)
    message = refusal(pair, SCALE, 1.5)
    assert "-0.50 rows" in message or "+0.50 rows" in message
    assert "--align" in message


def test_no_overlap(pair):
    pair.write_hr(transform=PLACE * Affine.translation(80, 0))
    assert "do not overlap" in refusal(pair) and "columns -80 to 0" in refusal(pair)


def test_less_than_a_pixel_of_overlap(pair):
    pair.write_hr(transform=PLACE * Affine.translation(78, 0))
    assert "no whole pixel" in refusal(pair)


@pytest.mark.parametrize("ratio", [3.5, 4.1, 1.2])
def test_a_ratio_that_is_no_integer(pair, ratio):
    pair.write_lr(transform=PLACE * Affine.scale(ratio))
    assert f"{ratio:.4f} x {ratio:.4f} pixels" in refusal(pair)
    assert "--align" in refusal(pair)


def test_a_ratio_within_one_percent_is_an_integer_where_no_pixel_is_off(pair):
    pair.write_lr(transform=PLACE * Affine.scale(SCALE + 0.004))
    assert pair_up(*opened(pair)).scale == SCALE
    # 20 pixels on, 0.5 % of a ratio of 4 is a fifth of an HR pixel to either side.
    pair.write_lr(transform=PLACE * Affine.scale(SCALE * 1.005))
    assert "do not fit" in refusal(pair)


def test_a_shifted_grid(pair):
    pair.write_lr(transform=PLACE * Affine.translation(0.3, -0.25) * Affine.scale(SCALE))
    message = refusal(pair)
    assert "-0.25 rows" in message and "+0.30 columns" in message and "--align" in message


def test_turned_grids(pair):
    pair.write_lr(transform=PLACE * Affine.rotation(5) * Affine.scale(SCALE))
    assert "turned against each other" in refusal(pair) and "--align" in refusal(pair)


def test_another_crs(pair):
    pair.write_hr(crs="EPSG:32634")
    message = refusal(pair)
    assert CRS in message and "EPSG:32634" in message and "--align" in message


def test_swapped_images(pair):
    with pytest.raises(UserError, match="the two look swapped"):
        pair_up(*opened(pair)[::-1])
    values = np.zeros((6, 16, 20)), np.zeros((4, 64, 80))
    lr_hsi, hr_msi = (image_of(x, name) for x, name in zip(values, ("a", "b"), strict=True))
    with pytest.raises(UserError, match="the two look swapped"):
        pair_up(hr_msi, lr_hsi)


def test_weights_for_another_scale(pair):
    assert "weights are for scale 8, the two images have 4" in refusal(pair, 8)


@pytest.mark.parametrize("without", ["lr_hsi", "hr_msi"])
def test_no_place_on_one_side_leaves_the_sizes(pair, without):
    values, nm = {"lr_hsi": (pair.lr_values, pair.wavelengths), "hr_msi": (pair.hr_values, ())}[without]
    write_raster(getattr(pair, without), values, nm, crs=None)
    found = pair_up(*opened(pair))
    assert found.scale == SCALE
    assert found.georeference.transform == tuple(PLACE)[:6]
    assert str(getattr(pair, without)) in found.notes[0]
    write_raster(getattr(pair, without), values[:, :-1], nm, crs=None)
    assert "must cover the same area" in refusal(pair)


def test_no_place_at_all(pair):
    write_raster(pair.lr_hsi, pair.lr_values, crs=None)
    write_raster(pair.hr_msi, pair.hr_values, crs=None)
    found = pair_up(*opened(pair))
    assert (found.scale, found.georeference, found.notes) == (SCALE, None, ())
    # Nothing says where samples lie in their blocks: what the method expects is taken, and said.
    assert pair_up(*opened(pair), SCALE, phase=1.5).notes == ()
    (note,) = pair_up(*opened(pair), SCALE, phase=0.0).notes
    assert "taken to lie 0 HR pixels into their blocks" in note and "centre lies at 1.5" in note
