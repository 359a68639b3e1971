"""Consistency errors against loops over pixels, and of images that are consistent by their making."""

import math

import numpy as np
import pytest
import torch

from cofusion.errors import UserError
from cofusion.metrics import HRMSIError, LRHSIError, hr_msi_error, lr_hsi_error
from cofusion.sensors import Sensors, gaussian_psf
from quality import loop_degrade, make_images, make_sensors


def loop_percent(found, reference):
    error = power = 0.0
    for f, r in zip(found.ravel().tolist(), reference.ravel().tolist(), strict=True):
        error += (f - r) ** 2
        power += r**2
    return 100 * math.sqrt(error / power)


# How many low-resolution pixels a blur of this size and phase mixes with what lies outside, on every side.
@pytest.mark.parametrize(
    "scale, size, first, edge",
    [(2, 1, 0, 0), (2, 3, 1, 1), (3, 3, 1, 0), (2, 4, 0, 1), (4, 9, 0, 1), (2, 9, 1, 2)],
)
def test_lr_hsi_error_equals_loops(scale, size, first, edge):
    sensors = make_sensors(scale, size, first)
    fused, lr_hsi, _ = make_images(scale)
    found = lr_hsi_error(fused, lr_hsi, sensors)
    for value, f, x in zip(found, fused.double().numpy(), lr_hsi.double().numpy(), strict=True):
        degraded = loop_degrade(f, sensors.psf.numpy(), scale, first)
        inner = np.s_[:, edge : x.shape[1] - edge, edge : x.shape[2] - edge]
        assert value.item() == pytest.approx(loop_percent(degraded[inner], x[inner]), rel=1e-12)


def test_hr_msi_error_equals_loops():
    sensors = make_sensors()
    fused, _, hr_msi = make_images()
    found = hr_msi_error(fused, hr_msi, sensors)
    weights = sensors.response.weights.numpy()
    for value, f, y in zip(found, fused.double().numpy(), hr_msi.double().numpy(), strict=True):
        seen = np.array([sum(w * band for w, band in zip(row, f, strict=True)) for row in weights])
        assert value.item() == pytest.approx(loop_percent(seen, y), rel=1e-12)


@pytest.mark.parametrize("border", ["reflect", "circular", "constant"])
def test_the_scene_itself_is_consistent_whatever_the_border(border):
    sensors = Sensors(gaussian_psf(7, 1.5), 4, 2, border, make_sensors().response)
    scene = torch.rand(4, 48, 40, generator=torch.Generator().manual_seed(0))
    lr_hsi, hr_msi = sensors.degrade(scene)
    assert lr_hsi_error(scene, lr_hsi, sensors).item() < 1e-4
    assert hr_msi_error(scene, hr_msi, sensors).item() < 1e-4
    # A part of the scene, whose border pixels were mixed with those beyond it.
    assert lr_hsi_error(scene[:, 16:40, 8:32], lr_hsi[:, 4:10, 2:8], sensors).item() < 1e-4
    # An error of a tenth everywhere is a tenth after both sensors.
    assert lr_hsi_error(1.1 * scene, lr_hsi, sensors).item() == pytest.approx(10, abs=1e-3)
    assert hr_msi_error(1.1 * scene, hr_msi, sensors).item() == pytest.approx(10, abs=1e-3)


def test_an_image_without_an_inside_counts_whole():
    sensors = make_sensors(2, 9, 1)
    fused, lr_hsi, _ = make_images(2, rows=3, cols=2)
    degraded = loop_degrade(fused[0].double().numpy(), sensors.psf.numpy(), 2, 1)
    expected = loop_percent(degraded, lr_hsi[0].numpy())
    assert lr_hsi_error(fused[0], lr_hsi[0], sensors).item() == pytest.approx(expected, rel=1e-6)


def test_large_images_are_walked_through_in_parts(monkeypatch):
    sensors = make_sensors()
    fused, lr_hsi, hr_msi = make_images()
    whole = lr_hsi_error(fused, lr_hsi, sensors), hr_msi_error(fused, hr_msi, sensors)
    monkeypatch.setattr("cofusion.metrics.degraded._BLOCK", 100)
    torch.testing.assert_close(lr_hsi_error(fused, lr_hsi, sensors), whole[0])
    torch.testing.assert_close(hr_msi_error(fused, hr_msi, sensors), whole[1])


def test_a_zero_image_relates_to_1():
    sensors = make_sensors()
    zero, tenth = torch.zeros(4, 8, 8), torch.full((4, 8, 8), 0.1)
    for error, seen in ((lr_hsi_error, torch.zeros(4, 4, 4)), (hr_msi_error, torch.zeros(3, 8, 8))):
        assert error(zero, seen, sensors).item() == 0
        assert error(tenth, seen, sensors).item() == pytest.approx(10)


@pytest.mark.parametrize("kind, function", [(LRHSIError, lr_hsi_error), (HRMSIError, hr_msi_error)])
def test_the_classes_are_means(kind, function):
    sensors, (fused, lr_hsi, hr_msi) = make_sensors(), make_images()
    seen = lr_hsi if kind is LRHSIError else hr_msi
    metric = kind(sensors)
    metric.update(fused[0], seen[0])
    metric.update(fused[1:], seen[1:])
    torch.testing.assert_close(metric.compute(), function(fused, seen, sensors).mean())


def test_a_response_of_other_bands_is_refused():
    fused, _, hr_msi = make_images()
    with pytest.raises(
        UserError, match=r"has 2 bands, response 'test' gives 3: give the sensors of this pair"
    ):
        hr_msi_error(fused, hr_msi[:, :2], make_sensors())
    with pytest.raises(UserError, match="response 'test' is for 5 bands, the cube has 4"):
        hr_msi_error(fused, hr_msi, make_sensors(hsi=5))
