"""Estimating both sensors from a pair: against known truth, and its sums against literal loops."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat

from cofusion.errors import UserError
from cofusion.scenes import IndianPines, Synthetic, read_file
from cofusion.sensors import CsvResponse, SatelliteResponse, Sensors, SpectralResponse, estimate_sensors
from cofusion.sensors.estimate import find_scale
from cofusion.sensors.estimate.gaussian import GaussianFit, fit_gaussian
from cofusion.sensors.estimate.moments import collect, usable, window_size
from cofusion.sensors.estimate.solve import difference_penalty, minimise

SCENES = Path(__file__).parents[3] / "shared" / "data" / "scenes"
BROAD = SpectralResponse.gaussian([450, 550, 650], [80, 90, 70], torch.linspace(400, 700, 12))


@pytest.fixture(scope="module")
def scene() -> torch.Tensor:
    """Random materials on random pixels: the bands are independent, so the truth is the only answer."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(12, 96, 88, generator=generator)


def relative(found: torch.Tensor, truth: torch.Tensor) -> float:
    """Return the Frobenius norm of the error over that of the truth."""
    return float((found - truth).norm() / truth.norm())


def check(estimate, sensors: Sensors, response: float = 0.05) -> None:
    """What is asked of an estimate: response within 5 %, sigma within 10 %, phase to a tenth of a pixel."""
    assert relative(estimate.response.weights, sensors.response.weights) < response
    truth = fit_gaussian(sensors.psf)
    assert estimate.gaussian.sigma == pytest.approx(truth.sigma, rel=0.1)
    assert estimate.phase == pytest.approx((sensors.phase, sensors.phase), abs=0.1)


@pytest.mark.parametrize("preset", ["paper", "wald", "3dt", "supres"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_sensors_come_back_from_their_pair(scene, preset, scale):
    sensors = Sensors.preset(preset, scale, BROAD, hsi_snr=torch.inf, msi_snr=torch.inf)
    estimate = estimate_sensors(*sensors.degrade(scene))
    assert relative(estimate.response.weights, BROAD.weights) < 1e-3
    assert estimate.residual.max() < 1e-4
    assert estimate.doubts() == []
    assert estimate.phase == pytest.approx((sensors.phase, sensors.phase), abs=0.05)
    assert estimate.gain == pytest.approx(torch.ones(3), abs=1e-3)
    # The estimated sensors see what the true ones see, but for the border.
    lr_hsi, _ = sensors.degrade(scene)
    again, _ = estimate.sensors().degrade(scene[:, : 96 // scale * scale, : 88 // scale * scale])
    inside = (slice(None), slice(5, -5), slice(5, -5))
    assert relative(again[inside], lr_hsi[inside]) < 1e-3


def test_other_scalings_and_offsets_are_told_apart_from_the_response(scene):
    sensors = Sensors.preset("wald", 4, BROAD)
    lr_hsi, hr_msi = sensors.degrade(scene)
    gains, offsets = torch.tensor([0.5, 2.0, 3.0]), torch.tensor([0.1, 0.0, -0.2])
    estimate = estimate_sensors(lr_hsi, gains[:, None, None] * hr_msi + offsets[:, None, None])
    check(estimate, sensors, response=1e-3)
    assert estimate.gain == pytest.approx(gains, rel=1e-3)
    assert estimate.offset == pytest.approx(offsets, abs=1e-3)


def test_a_fractional_shift_and_unequal_widths_are_found(scene):
    psf = GaussianFit((1.2, 1.8), (0.7, -1.3)).taps(14)
    sensors = Sensors(psf, 4, 1.5, "reflect", BROAD)
    estimate = estimate_sensors(*sensors.degrade(scene))
    assert estimate.gaussian.sigma == pytest.approx((1.2, 1.8), abs=0.02)
    assert estimate.gaussian.shift == pytest.approx((0.7, -1.3), abs=0.02)
    found = estimate.psf
    assert found.sum() == pytest.approx(1) and (found >= 0).all()
    assert relative(estimate.response.weights, BROAD.weights) < 1e-3


@pytest.mark.parametrize("psf", ["taps", "gaussian"])
def test_noise_is_held_down(scene, psf):
    clean = Sensors.preset("wald", 4, BROAD)
    noisy = Sensors.preset("wald", 4, BROAD, hsi_snr=40, msi_snr=40)
    estimate = estimate_sensors(*noisy.degrade(scene), psf=psf)
    check(estimate, clean)
    if psf == "gaussian":
        assert fit_gaussian(estimate.psf).sigma == pytest.approx(estimate.gaussian.sigma, rel=0.01)
    else:
        assert relative(estimate.psf[1:-1, 1:-1], clean.psf) < 0.2


def test_of_few_pixels_the_psf_is_a_gaussian():
    # 10 x 10 usable pixels: 300 equations for 256 taps and 3 x 30 weights.
    scene = torch.rand(30, 56, 56, generator=torch.Generator().manual_seed(0))
    response = SpectralResponse.gaussian([450, 550, 650], [80, 90, 70], torch.linspace(400, 700, 30))
    sensors = Sensors.preset("wald", 4, response)
    estimate = estimate_sensors(*sensors.degrade(scene))
    assert "too few" in estimate.doubts()[0]
    assert estimate.gaussian.sigma == pytest.approx(fit_gaussian(sensors.psf).sigma, rel=1e-3)
    assert relative(estimate.response.weights, response.weights) < 0.01
    assert torch.linalg.matrix_rank(estimate.psf, atol=1e-9) == 1
    free = estimate_sensors(*sensors.degrade(scene), psf="taps")
    assert free.doubts() == [] and torch.linalg.matrix_rank(free.psf, atol=1e-9) > 1


def test_holes_and_saturated_pixels_do_no_harm(scene):
    sensors = Sensors.preset("wald", 2, BROAD)
    lr_hsi, hr_msi = sensors.degrade(scene)
    truth = estimate_sensors(lr_hsi, hr_msi)
    hr_msi[:, 20:32, 40:60] = 0
    hr_msi[1, 60:64, 10:14] = 5.0
    lr_hsi[:, 40, 40] = 7.0
    bad = torch.zeros(lr_hsi.shape[1:], dtype=torch.bool)
    bad[40, 40] = True
    estimate = estimate_sensors(lr_hsi, hr_msi, lr_nodata=bad)
    check(estimate, sensors, response=1e-3)
    assert estimate.pixels < truth.pixels
    assert not estimate.whole[10:16, 20:30].any() and not estimate.whole[30:32, 5:7].any()
    assert not estimate.whole[40, 40]


def test_images_of_one_size_tell_response_and_shift_but_no_sensors(scene):
    psf = torch.tensor([[0, 0, 0], [0, 0.5, 0.5], [0, 0, 0]], dtype=torch.float64)
    from cofusion.sensors import blur

    estimate = estimate_sensors(blur(scene, psf), BROAD(scene))
    assert estimate.scale == 1
    assert relative(estimate.response.weights, BROAD.weights) < 1e-3
    assert estimate.gaussian.shift == pytest.approx((0, 0.5), abs=0.05)
    with pytest.raises(UserError, match="same size"):
        estimate.sensors()


def test_images_that_do_not_belong_together_raise_doubts(scene):
    lr_hsi, hr_msi = Sensors.preset("wald", 4, BROAD).degrade(scene)
    assert "unexplained" in estimate_sensors(lr_hsi, hr_msi.flip(1)).doubts()[0]


def test_moments_are_those_of_literal_windows(scene):
    lr_hsi, hr_msi = Sensors.preset("wald", 2, BROAD).degrade(scene[:, :40, :36])
    seen = torch.ones(40, 36, dtype=torch.bool)
    seen[20, 18] = False
    moments = collect(lr_hsi, hr_msi, 2, torch.ones(20, 18, dtype=torch.bool), seen)
    size = window_size(2)
    margin = (size - 2) // 2
    spectra, windows = [], []
    for row in range(20):
        for col in range(18):
            top, left = row * 2 - margin, col * 2 - margin
            inside = top >= 0 and left >= 0 and top + size <= 40 and left + size <= 36
            if not inside or not seen[top : top + size, left : left + size].all():
                assert not moments.whole[row, col]
                continue
            assert moments.whole[row, col]
            spectra.append(lr_hsi[:, row, col].double().numpy())
            windows.append(hr_msi[:, top : top + size, left : left + size].double().numpy().reshape(3, -1))
    x = np.array(spectra) - np.mean(spectra, axis=0)
    y = np.array(windows) - np.mean(windows, axis=0)
    assert moments.count == len(x)
    np.testing.assert_allclose(moments.hsi, x.T @ x, atol=1e-9)
    np.testing.assert_allclose(moments.hsi_mean, np.mean(spectra, axis=0))
    np.testing.assert_allclose(moments.msi_mean, np.mean(windows, axis=0))
    for band in range(3):
        np.testing.assert_allclose(moments.cross[band], x.T @ y[:, band], atol=1e-9)
        np.testing.assert_allclose(moments.msi[band], y[:, band].T @ y[:, band], atol=1e-9)


def test_residual_is_that_of_the_compared_images(scene):
    noisy = Sensors.preset("wald", 4, BROAD, hsi_snr=20, msi_snr=30)
    lr_hsi, hr_msi = noisy.degrade(scene)
    estimate = estimate_sensors(lr_hsi, hr_msi)
    seen, blurred = (image[:, estimate.whole].double() for image in estimate.compare(lr_hsi, hr_msi))
    left = (seen - blurred).square().mean(1).sqrt()
    assert estimate.residual == pytest.approx(left / blurred.square().mean(1).sqrt(), rel=1e-3)
    assert estimate.unexplained == pytest.approx(left / blurred.std(1, correction=0), rel=1e-3)


def test_minimise_meets_the_conditions_of_a_minimum():
    generator = torch.Generator().manual_seed(1)
    factor = torch.randn(30, 8, generator=generator, dtype=torch.float64)
    linear = torch.randn(8, generator=generator, dtype=torch.float64)
    quadratic = factor.T @ factor
    found = minimise(quadratic, linear)
    slope = quadratic @ found - linear
    assert (found >= 0).all() and (found > 0).any() and (found == 0).any()
    assert slope[found > 0].abs().max() < 1e-10
    assert slope[found == 0].min() > 0


def test_difference_penalty_is_the_sum_of_squared_steps():
    values = torch.tensor([1.0, 4.0, 2.0, 2.5], dtype=torch.float64)
    assert values @ difference_penalty(4) @ values == pytest.approx(9 + 4 + 0.25)


def test_usable_leaves_out_zeros_saturation_and_missing_data():
    image = torch.rand(2, 6, 6) * 0.9 + 0.05
    image[:, 0, 0] = 0
    image[0, 1, :4] = 1.0
    image[1, 5, :3] = 1.0  # three equal values are no saturation
    missing = torch.zeros(6, 6, dtype=torch.bool)
    missing[3, 3] = True
    good = usable(image, missing)
    assert [tuple(place) for place in (~good).nonzero().tolist()] == [
        (0, 0),
        *((1, i) for i in range(4)),
        (3, 3),
    ]


@pytest.mark.parametrize(
    ("lr", "hr", "scale", "said"),
    [
        ((5, 10, 10), (3, 35, 40), None, "no whole ratio"),
        ((5, 10, 10), (3, 45, 45), None, "no whole ratio"),
        ((5, 40, 40), (3, 10, 10), None, "swapped"),
        ((5, 10, 10), (3, 43, 43), 3, "scale 3 does not fit"),
        ((5, 10, 10), (3, 40, 40), 0, "scale 0 does not fit"),
        ((5, 8, 8), (3, 32, 32), None, "at least 64 are needed"),
        ((5, 2, 2), (3, 4, 4), None, "at least 64 are needed"),
    ],
)
def test_sizes_that_cannot_be_used(lr, hr, scale, said):
    with pytest.raises(UserError, match=said) as error:
        estimate_sensors(torch.rand(lr), torch.rand(hr), scale)
    assert "\n" not in str(error.value)


def test_rest_pixels_are_left_out_where_the_scale_is_given():
    assert find_scale(torch.empty(5, 36, 36), torch.empty(3, 145, 147), 4) == 4


def turn_over(lr_hsi: torch.Tensor, hr_msi: torch.Tensor) -> None:
    """Leave brightness alone, and one band dark where the others are bright."""
    lr_hsi.copy_(lr_hsi.mean(0).expand_as(lr_hsi).clone())
    hr_msi.copy_(hr_msi.mean(0).expand_as(hr_msi).clone())
    hr_msi[2] = 1 - hr_msi[2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lr, hr: lr.fill_(0.5), "constant image"),
        (lambda lr, hr: hr[1].fill_(0.5), "band 2 of the HRMSI is 0.5 everywhere"),
        (lambda lr, hr: hr[0, 3, 3].fill_(torch.nan), "NaN"),
        (turn_over, "band 3 of the HRMSI resembles no sum"),
    ],
)
def test_values_that_cannot_be_used(scene, change, said):
    lr_hsi, hr_msi = Sensors.preset("wald", 4, BROAD).degrade(scene)
    change(lr_hsi, hr_msi)
    with pytest.raises(UserError, match=said):
        estimate_sensors(lr_hsi, hr_msi)


@pytest.mark.parametrize("preset", ["paper", "wald"])
@pytest.mark.parametrize("scale", [2, 4, pytest.param(8, marks=pytest.mark.slow)])
def test_indian_pines(preset, scale):
    scene = IndianPines().read("indian_pines")
    response = SatelliteResponse("landsat-8", list("1234567"))(scene.wavelengths)
    sensors = Sensors.preset(preset, scale, response)
    check(estimate_sensors(*sensors.degrade(scene.cube)), sensors)


@pytest.mark.skipif(not SCENES.is_dir(), reason=f"the real scenes are not on this machine: {SCENES}")
@pytest.mark.parametrize("preset", ["paper", "wald"])
@pytest.mark.parametrize("scale", [2, 4, pytest.param(8, marks=pytest.mark.slow)])
def test_pavia(preset, scale):
    cube = loadmat(SCENES / "pavia_centre_crop_105x120x102.mat")["PaviaCenter"].transpose(2, 0, 1) / 8000
    response = CsvResponse("ikonos", ["blue", "green", "red", "nir"])(torch.linspace(430, 860, 102))
    sensors = Sensors.preset(preset, scale, response)
    check(estimate_sensors(*sensors.degrade(torch.from_numpy(cube).float())), sensors)


@pytest.mark.skipif(not SCENES.is_dir(), reason=f"the real scenes are not on this machine: {SCENES}")
def test_paris_is_shifted_by_half_a_pixel_and_its_bands_are_in_order():
    path = SCENES / "paris_hyperion_ali_72x72.mat"
    estimate = estimate_sensors(read_file(path, "HSim").cube, read_file(path, "MSim").cube)
    assert estimate.residual.max() < 0.08
    assert estimate.gaussian.shift == pytest.approx((0.25, 0.5), abs=0.25)
    centres = estimate.response.weights @ torch.arange(128, dtype=torch.float64)
    assert (centres.diff() > 0).all()


def test_a_scene_with_smooth_spectra():
    scene = Synthetic(bands=31, size=128, count=1, seed=0).read("synthetic_0")
    response = CsvResponse("nikon_d700")(torch.arange(400, 701, 10.0))
    sensors = Sensors.preset("wald", 4, response)
    estimate = estimate_sensors(*sensors.degrade(scene.cube))
    # What of a response the scene's spectra cannot show, no estimate finds: here, little is left to find.
    lr_hsi = sensors.lr_hsi(scene.cube)
    assert relative(estimate.response(lr_hsi), response(lr_hsi)) < 0.01
    assert estimate.gaussian.sigma == pytest.approx(fit_gaussian(sensors.psf).sigma, rel=0.1)
