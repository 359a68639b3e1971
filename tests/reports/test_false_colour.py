import numpy as np
import pytest

from cofusion.reports.figures.false_colour import choose_bands, compose, stretch_limits


@pytest.mark.parametrize(
    ("wavelengths", "shown"),
    [
        (np.arange(400, 701, 10), (650, 550, 450)),  # CAVE
        (np.arange(430, 861, 5), (650, 550, 450)),  # ends before plants could be red
        (np.arange(400, 2501, 10), (850, 650, 550)),  # colour infrared
        (np.arange(800, 2501, 50), (850, 1650, 2200)),  # nothing visible
        ([482, 561, 655, 865, 1609, 2201], (865, 655, 561)),  # six broad bands
    ],
)
def test_bands_are_chosen_by_wavelength_and_named(wavelengths, shown):
    chosen = choose_bands(len(wavelengths), wavelengths)
    assert tuple(np.asarray(wavelengths)[list(chosen.bands)]) == shown
    assert chosen.label == "R {}, G {}, B {} nm".format(*shown)


def test_order_of_the_bands_does_not_matter():
    wavelengths = np.arange(400, 701, 10)
    backwards = choose_bands(31, wavelengths[::-1])
    assert backwards.label == choose_bands(31, wavelengths).label


def test_unusual_wavelengths_fall_back_to_bands_over_the_whole_range():
    chosen = choose_bands(12, np.linspace(1000, 1300, 12))
    assert chosen.bands == (10, 6, 2)
    assert chosen.label == "R 1273, G 1164, B 1055 nm"


def test_unknown_wavelengths_name_the_bands_from_one():
    assert choose_bands(31).label == "R band 26, G band 16, B band 6"


@pytest.mark.parametrize(
    ("count", "bands", "label"),
    [(1, (0, 0, 0), "grey: band 1"), (2, (1, 1, 0), "R band 2, G band 2, B band 1"), (3, (2, 1, 0), None)],
)
def test_few_bands(count, bands, label):
    chosen = choose_bands(count)
    assert chosen.bands == bands
    assert label is None or chosen.label == label


def test_hrmsi_follows_the_composite_of_its_hsi_where_it_can():
    hsi = np.arange(400, 1001, 5)
    assert choose_bands(4, [480, 560, 660, 840], like=hsi).label == "R 840, G 660, B 560 nm"
    assert choose_bands(3, [480, 560, 660], like=hsi).label == "R 660, G 560, B 480 nm"


def test_limits_are_percentiles_of_the_bands_shown():
    ramp = np.linspace(0, 1, 101).reshape(1, 1, 101)
    low, high = stretch_limits(np.concatenate([ramp, 2 * ramp, 3 * ramp]), (2, 1, 0))
    np.testing.assert_allclose(low.ravel(), [0.06, 0.04, 0.02])
    np.testing.assert_allclose(high.ravel(), [2.94, 1.96, 0.98])


def test_composition_clips_and_shows_what_is_not_finite_black():
    cube = np.array([[[0.0, 1.0, 3.0, np.nan, np.inf]]])
    picture = compose(cube, (0, 0, 0), (np.full((3, 1, 1), 0.5), np.full((3, 1, 1), 1.5)))
    assert picture.shape == (1, 5, 3)
    np.testing.assert_array_equal(picture[0, :, 0], [0, 0.5, 1, 0, 0])


def test_even_picture_does_not_divide_by_zero():
    cube = np.full((3, 4, 4), 0.25)
    picture = compose(cube, (2, 1, 0), stretch_limits(cube, (2, 1, 0)))
    assert np.isfinite(picture).all()
