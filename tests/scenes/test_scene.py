import logging

import numpy as np
import pytest
import torch

from cofusion.errors import UserError
from cofusion.scenes import Scene


def raw(dtype=np.float64):
    return np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64, ">u2"])
def test_values_are_divided_by_the_scaling(dtype):
    values = raw(dtype)
    scene = Scene.from_raw("x", values.copy(), torch.tensor([500.0, 600.0]), 46.0, "file")
    assert scene.cube.dtype == torch.float32
    np.testing.assert_allclose(scene.cube.numpy(), values / 46.0, rtol=1e-6)
    assert (scene.name, scene.scaling, scene.source) == ("x", 46.0, "file")


def test_axes_in_another_memory_order_are_read_right():
    values = raw().transpose(1, 2, 0).copy().transpose(2, 0, 1)
    np.testing.assert_allclose(
        Scene.from_raw("x", values, None, 23.0, "").cube.numpy(), raw() / 23, rtol=1e-6
    )


def test_clipping_is_counted_and_logged(caplog):
    values = raw()
    values[0, 0, 0] = -5
    with caplog.at_level(logging.WARNING):
        scene = Scene.from_raw("glint", values, None, 20.0, "file")
    # 21, 22 and 23 lie above 20, one value below 0.
    assert "scene 'glint': clipped 4 of 24 values" in caplog.text
    assert (scene.cube.min(), scene.cube.max()) == (0, 1)
    assert scene.cube[1, 2, 0] == 1.0
    assert scene.cube[0, 0, 1] == pytest.approx(0.05)


def test_nothing_is_logged_without_clipping(caplog):
    Scene.from_raw("x", raw(), None, 23.0, "file")
    assert not caplog.text


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_and_infinity_are_counted_and_located(bad, dtype):
    values = raw(dtype)
    values[0, 1, 2] = bad
    values[1, 0, 0] = np.nan
    message = r"scene 'x': 2 of 24 values are NaN or infinite, the first at band 0, row 1, column 2"
    with pytest.raises(UserError, match=message) as error:
        Scene.from_raw("x", values, None, 23.0, "file")
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=message):
        Scene("x", torch.from_numpy(values).float(), None, 1.0, "file")


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_a_constant_cube_is_refused(level):
    with pytest.raises(UserError, match=r"all 24 values are .+ a constant cube"):
        Scene("x", torch.full((2, 3, 4), level), None, 1.0, "file")


def test_other_shapes_are_refused():
    for shape in ((3, 4), (1, 2, 3, 4), (0, 3, 4)):
        with pytest.raises(UserError, match="three axes"):
            Scene.from_raw("x", np.ones(shape), None, 1.0, "file")


def test_wavelengths_scaling_and_range_are_checked():
    with pytest.raises(UserError, match="3 wavelengths for 2 bands"):
        Scene.from_raw("x", raw(), torch.zeros(3), 23.0, "file")
    with pytest.raises(UserError, match="scaling must be above 0, not 0"):
        Scene.from_raw("x", raw(), None, 0.0, "file")
    with pytest.raises(UserError, match=r"leave \[0, 1\]"):
        Scene("x", torch.from_numpy(raw()).float(), None, 1.0, "file")


@pytest.mark.parametrize("rule", ["min", "p0", "p101", "p", "99", -1, 0, float("nan"), float("inf")])
def test_a_scaling_that_is_no_rule_is_refused(rule):
    with pytest.raises(UserError, match=r"scaling must be above 0, not .+ or max, or a percentile"):
        Scene.from_raw("x", raw(), None, rule, "file")


@pytest.mark.parametrize("percent", [1, 37.5, 99.9, 100])
def test_percentiles_are_those_of_numpy(percent):
    values = np.random.default_rng(0).random((5, 30, 20)).astype(np.float32)
    scene = Scene.from_raw("x", values.copy(), None, "p100", "file")
    assert scene.scaling == pytest.approx(values.max())
    if percent > 50:
        scene = Scene.from_raw("x", values.copy(), None, f"p{percent}", "file")
        assert scene.scaling == pytest.approx(np.percentile(values, percent), rel=1e-6)
        assert scene.clipped == (values > np.float32(scene.scaling)).sum()


def test_a_rule_without_a_positive_number_is_refused():
    with pytest.raises(UserError, match=r"scene 'x': scaling max: it is -1 in this cube, not above 0"):
        Scene.from_raw("x", -1 - raw(), None, "max", "file")


@pytest.mark.parametrize("values", [raw() - 13, raw() * 1e4])
def test_a_cube_that_would_mostly_be_clipped_is_refused(values):
    with pytest.raises(UserError, match=r"\d\d of 24 values leave \[0, 1\] .+ give a scaling") as error:
        Scene.from_raw("x", values, None, 23.0, "file")
    assert "\n" not in str(error.value)


def with_holes(hole, everywhere=False):
    values = 1 + raw()
    values[slice(None) if everywhere else 1, 2, 3] = hole
    return values


@pytest.mark.parametrize("hole", [-9999.0, np.nan, np.inf, 1e20])
def test_a_pixel_that_lacks_a_band_holds_no_data(hole):
    scene = Scene.from_raw("x", with_holes(hole), None, "max", "file", nodata=hole)
    expected = np.zeros((3, 4), bool)
    expected[2, 3] = True
    np.testing.assert_array_equal(scene.nodata, expected)
    assert (scene.cube[:, 2, 3] == 0).all()
    # The hole counts neither as the largest value nor as clipped.
    assert (scene.scaling, scene.clipped) == (23, 0)


def test_zero_is_a_reflectance_unless_the_whole_spectrum_is_zero():
    assert Scene.from_raw("x", with_holes(0), None, "max", "file", nodata=0).nodata is None
    assert Scene.from_raw("x", with_holes(0, True), None, "max", "file", nodata=0).nodata.sum() == 1


def test_percentiles_leave_pixels_without_data_out():
    values = np.full((2, 10, 10), 7.0)
    values[:, :9] = -1
    values[0, 9, 0] = 8
    assert Scene.from_raw("x", values, None, "p50", "file", nodata=-1).scaling == 7


def test_a_scene_without_data_is_refused():
    with pytest.raises(UserError, match="scene 'x': no pixel holds data: all have the nodata value 3"):
        Scene.from_raw("x", np.full((2, 3, 4), 3), None, "max", "file", nodata=3)


def test_bad_bands_are_left_out_with_their_wavelengths():
    values = np.arange(60.0).reshape(5, 3, 4)
    nm = torch.tensor([400.0, 500, 600, 700, 800])
    scene = Scene.from_raw("x", values, nm, 59, "file", bad_bands=[3, 0])
    np.testing.assert_allclose(scene.cube, values[[1, 2, 4]] / 59, rtol=1e-6)
    assert scene.wavelengths.tolist() == [500, 600, 800]
    assert scene.bad_bands == (0, 3)
    with pytest.raises(UserError, match="scene 'x': all 5 bands are marked as bad"):
        Scene.from_raw("x", values, nm, 59, "file", bad_bands=range(5))


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(UserError, match=r"a mask of \(4, 3\) pixels for a cube of \(3, 4\)"):
        Scene("x", torch.from_numpy(raw() / 23).float(), None, 1.0, "", nodata=torch.zeros(4, 3).bool())


def test_large_cubes_are_scaled_in_place():
    values = np.random.default_rng(0).random((4, 8, 8)).astype(np.float32)
    scene = Scene.from_raw("x", values, None, "max", "file", nodata=-1)
    assert scene.cube.data_ptr() == values.ctypes.data
