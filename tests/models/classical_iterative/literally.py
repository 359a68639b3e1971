"""The methods on one small pair, by dense algebra or by their literal versions of `benchmarks`."""

import importlib
import itertools
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.linalg import sqrtm

from cofusion.models.classical.patches import clusters
from cofusion.models.classical.subspace import purest_pixels
from cofusion.sensors import upsample

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
literal = importlib.import_module("literal_fusion")


def arrays(lr_hsi, hr_msi, sensors):
    """Return X, Y, R and the camera of the first pair."""
    camera = literal.Camera(sensors.psf.numpy(), sensors.scale, sensors.phase, *hr_msi.shape[-2:])
    x, y = (image[0].double().numpy() for image in (lr_hsi, hr_msi))
    return x, y, sensors.response.weights.numpy(), camera


def upsampled(image, sensors):
    return upsample(torch.from_numpy(image)[None], sensors.scale, sensors.phase)[0].numpy()


def singular_vectors(x, count):
    return np.linalg.svd(x.reshape(len(x), -1), full_matrices=False)[0][:, :count]


def sampling_matrix(sensors, rows, cols):
    """`(h w, rows cols)`: what the sensor sees of every single pixel."""
    points = torch.eye(rows * cols, dtype=torch.float64).view(-1, rows, cols)
    return sensors.lr_hsi(points).flatten(1).T.numpy()


def neighbour_covariance(x):
    """Of the differences between neighbours, by a loop; `x` is `(p, h, w)`."""
    p, rows, cols = x.shape
    total, count = np.zeros((p, p)), 0
    for r, c in itertools.product(range(rows), range(cols)):
        for r2, c2 in ((r + 1, c), (r, c + 1)):
            if r2 < rows and c2 < cols:
                step = x[:, r2, c2] - x[:, r, c]
                total += np.outer(step, step)
                count += 1
    return total / count


def normal_equations(a, response, hsi_noise, msi_noise, precision):
    """The matrix on `U (p, n)`, rows stacked."""
    of_pixels, of_bands = a.T @ a / hsi_noise, response.T @ response / msi_noise + precision
    p, n = len(of_bands), len(of_pixels)
    return np.kron(np.eye(p), of_pixels) + np.kron(of_bands, np.eye(n))


def fuse(method, lr_hsi, hr_msi, sensors):
    x, y, response, _ = arrays(lr_hsi, hr_msi, sensors)
    e = singular_vectors(x, method.components)
    xs, re = literal.mix(e.T, x), response @ e
    a = sampling_matrix(sensors, *y.shape[1:])
    hsi_noise, msi_noise = ((image**2).mean() / 10 ** (method.snr / 10) for image in (x, y))
    precision = np.linalg.inv(neighbour_covariance(xs)) if method.prior == "gaussian" else 0
    mean = upsampled(xs, sensors).reshape(len(xs), -1)
    matrix = normal_equations(a, re, hsi_noise, msi_noise, precision)
    y = y.reshape(len(y), -1)
    # Of all maxima, the one nearest to the mean.
    gradient = (xs.reshape(len(xs), -1) - mean @ a.T) @ a / hsi_noise + re.T @ (y - re @ mean) / msi_noise
    step = np.linalg.lstsq(matrix, gradient.ravel(), rcond=1e-11)[0]
    return literal.mix(e, (mean + step.reshape(mean.shape)).reshape(-1, *hr_msi.shape[-2:]))


def hysure(method, lr_hsi, hr_msi, sensors):
    x, y, response, camera = arrays(lr_hsi, hr_msi, sensors)
    e = singular_vectors(x, method.components)
    start = upsampled(literal.mix(e.T, x), sensors)
    weights = method.msi_weight, method.smoothness, method.penalty
    steps = literal.hysure(x, y, e, response, start, camera, *weights)
    u, _, _ = next(itertools.islice(steps, method.iterations - 1, None))
    return literal.mix(e, u)


def rooted(covariance):
    """The matrix root, at the same trace."""
    root = sqrtm(covariance).real
    return root * np.trace(covariance) / np.trace(root)


def ltmr(method, lr_hsi, hr_msi, sensors):
    x, y, response, camera = arrays(lr_hsi, hr_msi, sensors)
    e = singular_vectors(x, method.components)
    xs = literal.mix(e.T, x)
    noise = [(image**2).mean() / 10 ** (method.snr / 10) for image in (x, y)]
    places = literal.places(y, method.step)
    looks = np.stack([literal.cut(y, place, method.patch).T.ravel() for place in places])
    count = min(method.clusters, max(1, len(places) // len(xs)))
    groups = clusters(torch.from_numpy(looks), count, method.seed)
    steps = literal.ltmr(
        xs,
        y,
        response @ e,
        upsampled(xs, sensors),
        camera,
        noise,
        rooted(neighbour_covariance(xs)),
        [[places[i] for i in group.tolist()] for group in groups],
        method.patch,
        method.rank_weight,
        method.penalty,
        method.growth,
    )
    return literal.mix(e, next(itertools.islice(steps, method.iterations - 1, None)))


def cnmf(method, lr_hsi, hr_msi, sensors):
    x, y, response, camera = arrays(lr_hsi, hr_msi, sensors)
    spectra = purest_pixels(lr_hsi[0].flatten(1), method.endmembers).double().numpy()
    return literal.cnmf(
        x, y, spectra, response, camera, lambda h: upsampled(h, sensors), method.rounds, method.iterations
    )


def tv(method, lr_hsi, hr_msi, sensors):
    x, y, response, camera = arrays(lr_hsi, hr_msi, sensors)
    steps = literal.tv(x, y, response, upsampled(x, sensors), camera, method.smoothness, method.inner)
    return next(itertools.islice(steps, method.iterations - 1, None))


def sup_res_palm(method, lr_hsi, hr_msi, sensors):
    x, y, response, camera = arrays(lr_hsi, hr_msi, sensors)
    spectra = method.first_spectra(lr_hsi[0].flatten(1)).double().numpy()
    return literal.sup_res_palm(
        x, y, spectra, response, camera, lambda a: upsampled(a, sensors), method.rounds, method.steps
    )
