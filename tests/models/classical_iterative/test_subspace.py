"""Directions and endmembers against dense algebra and scenes whose answer is known."""

import scipy.linalg
import torch

from cofusion.models.classical.subspace import mix, principal_directions, purest_pixels
from models.classical_iterative.scenes import mixed_scene, noise, spectra


def test_principal_directions_are_the_left_singular_vectors():
    pixels = noise(2, 6, 50)
    directions, energy = principal_directions(pixels, 3)
    left, values, _ = torch.linalg.svd(pixels, full_matrices=False)
    torch.testing.assert_close(energy, values[:, :3].square() / 50)
    torch.testing.assert_close(directions @ directions.mT, left[..., :3] @ left[..., :3].mT)


def test_directions_without_energy_are_zero():
    pixels = (spectra(2) @ noise(2, 50)).float()[None]
    directions, energy = principal_directions(pixels, 5)
    assert directions.shape == (1, 8, 5)
    assert (energy[0] > 0).tolist() == [True, True, False, False, False]
    assert not directions[..., 2:].any()


def test_no_more_directions_than_pixels():
    assert principal_directions(noise(1, 8, 3), 5)[0].shape == (1, 8, 3)


def test_mixing_multiplies_every_spectrum():
    matrix, image = noise(2, 3, 5), noise(2, 5, 4, 6)
    torch.testing.assert_close(mix(matrix, image), torch.einsum("bmn,bnhw->bmhw", matrix, image))


def test_the_purest_pixels_are_those_of_a_pivoted_factorisation():
    pixels = noise(8, 60)
    _, order = scipy.linalg.qr(pixels.numpy(), mode="r", pivoting=True)
    assert torch.equal(purest_pixels(pixels, 5), pixels[:, order[:5].copy()])


def test_of_mixtures_that_are_no_brighter_than_their_parts_these_are_found():
    parts, abundances = spectra(4), noise(4, 200)
    scene = parts @ (abundances / abundances.sum(0) * noise(1, 200, seed=1))
    scene[:, [7, 30, 31, 199]] = parts
    found = purest_pixels(scene, 4)
    assert sorted(torch.cdist(found.T, parts.T).argmin(1).tolist()) == [0, 1, 2, 3]
    assert torch.cdist(found.T, parts.T).amin(1).max() == 0


def test_pure_pixels_do_not_outnumber_the_directions_and_are_no_dead_pixels():
    scene = mixed_scene(rank=3)[0].flatten(1)
    scene[:, ::2] = 0
    found = purest_pixels(scene, 30)
    assert found.shape == (8, 3)
    assert (found.amax(0) > 0.1).all()


def test_a_black_image_has_one_pure_pixel():
    assert torch.equal(purest_pixels(torch.zeros(8, 20), 5), torch.zeros(8, 1))
