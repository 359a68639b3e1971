"""Every step of an iterative method comes closer to what it looks for, by the measure its theory names."""

import itertools
import math

import pytest
import torch

from cofusion.models.classical.fourier import Torus
from cofusion.models.classical.hysure import HySure, Splitting
from cofusion.models.classical.sup_res_palm import fit_abundances, fit_spectra, misfit, to_simplex
from cofusion.models.classical.tv import TV, Descent
from cofusion.models.classical.unmixing import Unmixing
from models.classical_iterative import literally
from models.classical_iterative.literally import literal
from models.classical_iterative.scenes import full_rank_scene, noise, sensors, spectra

P = 4


def rising(values):
    """Steps by which a sequence rises beyond its rounding."""
    return [i for i, (a, b) in enumerate(itertools.pairwise(values)) if b > a * (1 + 1e-9)]


@pytest.fixture(params=[(4, 1.5, None), (2, 0.0, 0.5)], ids=str)
def hysure(request):
    """The method's steps and the literal ones on one pair, in float64."""
    scale, phase, sigma = request.param
    eyes = sensors(scale, phase, sigma=sigma)
    pair = [image.double() for image in eyes.degrade(full_rank_scene())]
    x, y, response, camera = literally.arrays(*pair, eyes)
    e = literally.singular_vectors(x, P)
    start = literally.upsampled(literal.mix(e.T, x), eyes)
    options = HySure(P, smoothness=1e-3, penalty=0.05)
    weights = options.msi_weight, options.smoothness
    expected = literal.hysure(x, y, e, response, start, camera, *weights, options.penalty)
    projected = torch.from_numpy(literal.mix(e.T, x))[None]
    torus = Torus(eyes, pair[1])
    steps = Splitting(options, torus, projected, pair[1], torch.from_numpy(response @ e)[None])

    def objective(u):
        return literal.hysure_objective(u, x, y, e, response, camera, *weights)

    return steps, expected, objective


def test_hysure_takes_the_steps_of_admm(hysure):
    steps, expected, _ = hysure
    for u, _, multipliers in itertools.islice(expected, 25):
        steps.step()
        torch.testing.assert_close(steps.u[0], torch.from_numpy(u), atol=1e-10, rtol=0)
        for mine, its in zip((steps.d2, steps.d3, steps.d4), multipliers[1:], strict=True):
            torch.testing.assert_close(mine[0], torch.from_numpy(its), atol=1e-10, rtol=0)


def test_hysure_moves_less_in_every_step_and_ends_at_the_minimum(hysure):
    """Of ADMM, |V - V_last|² + |D - D_last|² never rises (He and Yuan, Numerische Mathematik 130, 2015)."""
    _, expected, objective = hysure
    states = list(itertools.islice(((u, v + d) for u, v, d in expected), 400))
    moves = [
        sum(((a - b) ** 2).sum() for a, b in zip(later, earlier, strict=True))
        for (_, earlier), (_, later) in itertools.pairwise(states)
    ]
    assert not rising(moves)
    best = objective(states[-1][0])
    assert objective(states[99][0]) < best * (1 + 1e-3)
    # No small step away from the end is better.
    for seed in range(5):
        step = noise(*states[-1][0].shape, seed=seed).numpy() - 0.5
        assert objective(states[-1][0] + 1e-3 * step) > best


@pytest.mark.parametrize("bands", [2, 8])
def test_no_update_of_an_unmixing_raises_its_cost(bands):
    unmixing = Unmixing(noise(bands, 12, 10), spectra(5, bands), 0.3)
    unmixing.abundances = noise(5, 120, seed=1)
    costs = [unmixing.cost()]
    for update in [unmixing.update_abundances, unmixing.update_spectra] * 40:
        update()
        costs.append(unmixing.cost())
    assert not rising(costs)
    assert costs[-1] < 0.5 * costs[0]


def test_an_unmixing_ends_where_its_cost_stands_still():
    patient, hasty = (Unmixing(noise(6, 12, 10), spectra(3, 6), 0.3) for _ in range(2))
    patient.fit_abundances(3000, 0.0)
    hasty.fit_abundances(3000, 1e-4)
    assert patient.cost() < hasty.cost() < 1.05 * patient.cost()


def test_a_known_mixture_is_unmixed():
    spectra_of = spectra(3)
    abundances = noise(3, 6, 5) + 0.05
    abundances = abundances / abundances.sum(0)
    unmixing = Unmixing(torch.einsum("bm,mhw->bhw", spectra_of, abundances), spectra_of, 0.3)
    unmixing.fit_abundances(20000, 0.0)
    assert math.sqrt(unmixing.cost()) < 1e-4
    torch.testing.assert_close(unmixing.abundances, abundances.flatten(1), atol=1e-3, rtol=0)


@pytest.mark.parametrize("smoothness", [1e-5, 1e-4, 1e-3, 1e-2])
def test_no_step_of_tv_raises_its_objective(smoothness):
    eyes = sensors(4)
    pair = [image.double() for image in eyes.degrade(full_rank_scene())]
    x, y, response, camera = literally.arrays(*pair, eyes)
    descent = Descent(TV(smoothness), Torus(eyes, pair[1]), *pair)
    values = []
    for _ in range(60):
        values.append(literal.tv_objective(x, y, response, descent.z[0].numpy(), camera, smoothness))
        descent.step()
    assert not rising(values)
    assert values[-1] < 0.9 * values[0]


@pytest.mark.parametrize("steps", [1, 2, 3, 20])
def test_no_turn_of_sup_res_palm_raises_the_misfit_it_is_made_for(steps):
    pixels, of_spectra, abundances = noise(6, 100), noise(6, 4, seed=1), noise(4, 100, seed=2)
    abundances = abundances / abundances.sum(0)
    values = [misfit(pixels, abundances, of_spectra)]
    for _ in range(30):
        of_spectra = fit_spectra(pixels, abundances, of_spectra, steps)
        values.append(misfit(pixels, abundances, of_spectra))
        fit_abundances(pixels, of_spectra, abundances, steps)
        values.append(misfit(pixels, abundances, of_spectra))
    assert not rising(values)
    assert values[-1] < 0.7 * values[0]
    assert 0 <= of_spectra.min() <= of_spectra.max() <= 1
    assert abundances.min() >= 0
    torch.testing.assert_close(abundances.sum(0), torch.ones(100).double())


def test_momentum_takes_sup_res_palm_further():
    pixels, of_spectra = noise(6, 100), noise(6, 4, seed=1)
    start = torch.full((4, 100), 0.25, dtype=torch.float64)
    fast, slow, best = start.clone(), start.clone(), start.clone()
    fit_abundances(pixels, of_spectra, fast, 20)
    for _ in range(20):
        fit_abundances(pixels, of_spectra, slow, 1)
    fit_abundances(pixels, of_spectra, best, 5000)
    least = misfit(pixels, best, of_spectra)
    assert misfit(pixels, fast, of_spectra) - least < 0.3 * (misfit(pixels, slow, of_spectra) - least)
    found = fit_spectra(pixels, best, of_spectra, 6)
    for _ in range(6):
        of_spectra = fit_spectra(pixels, best, of_spectra, 1)
    assert misfit(pixels, best, found) < misfit(pixels, best, of_spectra)


@pytest.mark.parametrize("rows", [1, 2, 5, 30])
@pytest.mark.parametrize("spread", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("guess", [None, -1e4, 0.0, 1e4])
def test_the_simplex_is_reached_at_its_nearest_point(rows, spread, guess):
    columns = (noise(rows, 200) - 0.5) * spread
    guess = None if guess is None else torch.full((200,), guess).double()
    torch.testing.assert_close(
        to_simplex(columns, guess)[0], torch.from_numpy(literal.simplex(columns.numpy()))
    )
