import numpy as np
import pytest

from cofusion.reports.figures.pixels import interesting_pixels


@pytest.fixture
def cube():
    """Grey ground with a bright red and a dark blue field, and a black margin at the right."""
    image = np.full((8, 60, 60), 0.4)
    image[:, 10:25, 10:25] = np.linspace(0.5, 1.0, 8)[:, None, None]
    image[:, 35:50, 10:25] = np.linspace(0.2, 0.05, 8)[:, None, None]
    image[:, :, 50:] = 0
    return image


def test_one_bright_one_dark_one_edge(cube):
    (bright_row, bright_col), (dark_row, dark_col), (row, col) = interesting_pixels(cube)
    assert 10 <= bright_row < 25 and 10 <= bright_col < 25
    assert 35 <= dark_row < 50 and 10 <= dark_col < 25
    brightness = cube.mean(0)
    around = brightness[row - 1 : row + 2, col - 1 : col + 2]
    assert np.ptp(around) > 0.2


def test_black_pixels_are_never_chosen(cube):
    for row, col in interesting_pixels(cube):
        assert cube[:, row, col].any()


def test_choice_depends_on_the_cube_alone(cube):
    assert interesting_pixels(cube) == interesting_pixels(cube.copy())
    turned = interesting_pixels(np.flip(cube, axis=2))
    assert turned != interesting_pixels(cube)


def test_pixels_are_apart_and_away_from_the_border(cube):
    pixels = interesting_pixels(cube)
    assert all(2 <= row < 58 and 2 <= col < 58 for row, col in pixels)
    distances = [np.hypot(a[0] - b[0], a[1] - b[1]) for i, a in enumerate(pixels) for b in pixels[:i]]
    assert min(distances) > 10


def test_most_different_spectrum_wins_among_the_bright():
    image = np.full((8, 60, 60), 0.9) + np.random.default_rng(0).normal(0, 1e-3, (8, 60, 60))
    image[:, :, :30] *= 0.3
    image[::2, 40:50, 40:50] *= 0.85  # as bright as its surroundings, of another colour
    image[1::2, 40:50, 40:50] *= 1.15
    row, col = interesting_pixels(image)[0]
    assert 40 <= row < 50 and 40 <= col < 50


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 2), (4, 1, 30), (2, 8, 8)])
def test_small_pictures_give_fewer_pixels_but_no_error(shape):
    pixels = interesting_pixels(np.random.default_rng(0).random(shape))
    assert all(0 <= row < shape[1] and 0 <= col < shape[2] for row, col in pixels)


def test_empty_picture_has_none():
    assert interesting_pixels(np.zeros((3, 10, 10))) == []
