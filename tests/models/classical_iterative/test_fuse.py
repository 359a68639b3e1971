"""FUSE's closed form against its normal equations as one dense matrix, in float64."""

import numpy as np
import pytest
import torch

from cofusion.models.classical.fourier import Torus
from cofusion.models.classical.fuse import posterior_mean
from models.classical_iterative import literally
from models.classical_iterative.scenes import noise, sensors

P, BANDS = 3, 2
# Scale, phase and sigma: the first pixel of each block, its centre (an even PSF at an even scale), its last.
GEOMETRIES = [
    (2, 0.0, 0.5),
    (2, 0.5, 0.9),
    (3, 0.0, 0.5),
    (3, 1.0, 1.2),
    (4, 0.0, 0.5),
    (4, 1.5, 1.7),
    (4, 3.5, 1.0),
]


@pytest.mark.parametrize(("scale", "phase", "sigma"), GEOMETRIES)
@pytest.mark.parametrize("prior", [True, False])
def test_the_closed_form_solves_its_normal_equations(scale, phase, sigma, prior):
    eyes = sensors(scale, phase, sigma=sigma)
    rows, cols = 4 * scale, 3 * scale
    x, y, mean = noise(1, P, 4, 3), noise(1, BANDS, rows, cols, seed=1), noise(1, P, rows, cols, seed=2)
    response = noise(1, BANDS, P, seed=3)
    root = noise(1, P, P, seed=4)
    covariance = root @ root.mT + 0.1 * torch.eye(P)
    one = torch.ones(1, 1, 1).double()
    variances = 0.2 * one, 0.05 * one
    torus = Torus(eyes, y)
    u = posterior_mean(torus, x, y, response, variances, mean, covariance if prior else None)[0].flatten(1)

    a, r = literally.sampling_matrix(eyes, rows, cols), response[0].numpy()
    precision = np.linalg.inv(covariance[0].numpy()) if prior else np.zeros((P, P))
    matrix = literally.normal_equations(a, r, 0.2, 0.05, precision)
    right = x[0].flatten(1).numpy() @ a / 0.2 + r.T @ y[0].flatten(1).numpy() / 0.05
    right += precision @ mean[0].flatten(1).numpy()
    residual = matrix @ u.numpy().ravel() - right.ravel()
    assert np.linalg.norm(residual) < 1e-10 * np.linalg.norm(right)


def test_without_a_prior_it_is_the_maximum_nearest_to_the_mean():
    eyes = sensors(2, 0.0, sigma=0.5)
    x, y, mean = noise(1, P, 3, 3), noise(1, 1, 6, 6, seed=1), noise(1, P, 6, 6, seed=2)
    response, one = noise(1, 1, P, seed=3), torch.ones(1, 1, 1).double()
    u = posterior_mean(Torus(eyes, y), x, y, response, (one, one), mean, None)
    a, r = literally.sampling_matrix(eyes, 6, 6), response[0].numpy()
    # The step from the mean has nothing of the directions that neither image sees.
    unseen = np.linalg.svd(np.vstack([np.kron(np.eye(P), a), np.kron(r, np.eye(36))]))[2]
    unseen = unseen[P * 9 + 36 :]
    assert len(unseen) > 0
    assert np.abs(unseen @ (u - mean)[0].flatten().numpy()).max() < 1e-10


def test_noise_of_a_sensor_makes_its_image_count_less():
    """As the MSI drowns in noise, what is left is what the LRHSI and the prior say."""
    eyes = sensors(2, 0.0, sigma=0.5)
    x, y, mean = noise(1, P, 3, 3), noise(1, 1, 6, 6, seed=1), noise(1, P, 6, 6, seed=2)
    response, one = noise(1, 1, P, seed=3), torch.ones(1, 1, 1).double()
    torus = Torus(eyes, y)
    covariance = torch.eye(P).double()[None]
    deaf = posterior_mean(torus, x, y, response, (one, 1e12 * one), mean, covariance)
    other = posterior_mean(torus, x, y + 1, response, (one, 1e12 * one), mean, covariance)
    torch.testing.assert_close(deaf, other, atol=1e-10, rtol=0)
