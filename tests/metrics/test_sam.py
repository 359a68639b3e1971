"""SAM against a loop over pixels."""

import math

import numpy as np
import pytest
import torch

from cofusion.metrics import SAM, sam


def loop_sam(fused, reference):
    angles = []
    for row in range(reference.shape[1]):
        for col in range(reference.shape[2]):
            f, r = fused[:, row, col].astype(np.float64), reference[:, row, col].astype(np.float64)
            if not r.any():
                continue
            lengths = math.sqrt(sum(f * f)) * math.sqrt(sum(r * r))
            angles.append(90.0 if lengths == 0 else math.degrees(math.acos(min(1.0, sum(f * r) / lengths))))
    return sum(angles) / len(angles)


@pytest.fixture
def pair():
    rng = np.random.default_rng(1)
    reference = rng.uniform(0, 1, (2, 6, 9, 8)).astype(np.float32)
    return (reference + rng.normal(0, 0.05, reference.shape)).astype(np.float32), reference


def test_equals_a_loop(pair):
    fused, reference = pair
    result = sam(torch.from_numpy(fused), torch.from_numpy(reference))
    assert result.tolist() == pytest.approx(
        [loop_sam(*images) for images in zip(*pair, strict=True)], abs=1e-9
    )


def test_equals_a_loop_with_zero_spectra_on_either_side(pair):
    fused, reference = pair
    reference[:, :, 0, :3] = 0  # left out of the mean
    fused[:, :, 0, 2] = 0  # both zero: left out as well
    fused[:, :, 5, :4] = 0  # 90 degrees
    result = sam(torch.from_numpy(fused), torch.from_numpy(reference))
    assert result.tolist() == pytest.approx(
        [loop_sam(*images) for images in zip(*pair, strict=True)], abs=1e-9
    )


def test_a_large_scene_equals_its_parts():
    """The blocks of rows in which a scene is walked through must not show."""
    torch.manual_seed(0)
    fused, reference = torch.rand(2, 40, 300, 257)
    reference[:, 100:150] = 0
    parts = [sam(fused[:, :100], reference[:, :100]), sam(fused[:, 150:], reference[:, 150:])]
    expected = (100 * parts[0] + 150 * parts[1]) / 250
    torch.testing.assert_close(sam(fused, reference), expected)


@pytest.mark.parametrize("degrees", [0.0, 1e-5, 0.5, 30.0, 90.0, 179.9, 180.0])
def test_known_angles(degrees):
    angle = math.radians(degrees)
    reference = torch.tensor([1.0, 0.0], dtype=torch.float64).view(2, 1, 1).expand(2, 3, 3)
    fused = (
        torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64).view(2, 1, 1).expand(2, 3, 3)
    )
    assert sam(fused, reference).item() == pytest.approx(degrees, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_identical_images_give_exactly_zero(dtype):
    image = torch.rand(2, 31, 12, 12).to(dtype)
    image[:, :, 3, 3] = 0
    assert sam(image, image.clone()).tolist() == [0, 0]


def test_brightness_does_not_matter(pair):
    fused, reference = map(torch.from_numpy, pair)
    gain = torch.rand(2, 1, 9, 8) + 0.5
    torch.testing.assert_close(sam(gain * fused, reference), sam(fused, reference), rtol=1e-6, atol=1e-6)


def test_tiny_spectra_keep_their_angle():
    reference = torch.tensor([1e-30, 0.0]).view(2, 1, 1)
    fused = torch.tensor([1e-30, 1e-30]).view(2, 1, 1)
    assert sam(fused, reference).item() == pytest.approx(45)


def test_an_image_without_any_reference_spectrum_gives_zero():
    zero = torch.zeros(2, 4, 5, 5)
    fused = torch.stack((zero[0], zero[0] + 0.5))
    assert sam(fused, zero).tolist() == [0, 0]


def test_the_class_is_the_mean_over_images():
    torch.manual_seed(0)
    metric = SAM()
    fused, reference = torch.rand(2, 3, 5, 6, 6)
    metric.update(fused[:2], reference[:2])
    metric.update(fused[2:], reference[2:])
    torch.testing.assert_close(metric.compute(), sam(fused, reference).mean())
