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
