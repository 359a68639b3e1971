"""The iterative methods written down literally in NumPy, float64: what tests and timings compare with.

Each follows its formulas line by line, over a periodic scene, and is told the spectra and the starting image
that the method finds by other means. `Camera` blurs tap by tap.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Upsample = Callable[[Array], Array]


class Camera:
    """Blur and decimation of `(bands, H, W)` with opposite edges next to each other."""

    def __init__(self, psf: Array, scale: int, phase: float, rows: int, cols: int) -> None:
        self.psf, self.scale = psf, scale
        self.first = int(phase) if psf.shape[0] % 2 else int(phase - 0.5)
        point = np.zeros((1, rows, cols))
        point[0, 0, 0] = 1
        self.spectrum = np.fft.fft2(self.tap_by_tap(point)[0])

    def tap_by_tap(self, image: Array) -> Array:
        half = (self.psf.shape[0] - 1) // 2
        blurred = np.zeros_like(image)
        for (i, j), tap in np.ndenumerate(self.psf):
            blurred += tap * np.roll(image, (half - i, half - j), (1, 2))
        return blurred

    def blur(self, image: Array) -> Array:
        return np.real(np.fft.ifft2(np.fft.fft2(image) * self.spectrum))

    def blur_adjoint(self, image: Array) -> Array:
        return np.real(np.fft.ifft2(np.fft.fft2(image) * self.spectrum.conj()))

    def keep(self, image: Array) -> Array:
        return image[:, self.first :: self.scale, self.first :: self.scale]

    def look(self, image: Array) -> Array:
        return self.keep(self.blur(image))

    def spread(self, lr: Array, shape: tuple[int, ...]) -> Array:
        """The adjoint of `look`."""
        image = np.zeros((len(lr), *shape[1:]))
        image[:, self.first :: self.scale, self.first :: self.scale] = lr
        return self.blur_adjoint(image)


def mix(matrix: Array, image: Array) -> Array:
    return np.einsum("mn,nhw->mhw", matrix, image)


def across(image: Array) -> Array:
    return np.roll(image, -1, 2) - image


def down(image: Array) -> Array:
    return np.roll(image, -1, 1) - image


def across_adjoint(image: Array) -> Array:
    return np.roll(image, 1, 2) - image


def down_adjoint(image: Array) -> Array:
    return np.roll(image, 1, 1) - image


def hysure(
    x: Array,
    y: Array,
    directions: Array,
    response: Array,
    start: Array,
    camera: Camera,
    msi_weight: float,
    smoothness: float,
    penalty: float,
) -> Iterator[tuple[Array, list[Array], list[Array]]]:
    """Yield U, the splits V and the multipliers D after each step; `start` is the first U."""
    e, re = directions, response @ directions
    p = e.shape[1]
    point = np.zeros((1, *y.shape[1:]))
    point[0, 0, 0] = 1
    spectra = [camera.spectrum, np.ones(y.shape[1:])]
    spectra += [np.fft.fft2(difference(point)[0]) for difference in (across, down)]
    power = sum(np.abs(spectrum) ** 2 for spectrum in spectra)
    u = start
    v = [camera.blur(u), u, across(u), down(u)]
    d = [np.zeros_like(u) for _ in v]
    sampled = np.zeros(y.shape[1:], bool)
    sampled[camera.first :: camera.scale, camera.first :: camera.scale] = True
    while True:
        right = sum(
            spectrum.conj() * np.fft.fft2(vi + di) for spectrum, vi, di in zip(spectra, v, d, strict=True)
        )
        u_hat = right / power
        u = np.real(np.fft.ifft2(u_hat))
        moved = [np.real(np.fft.ifft2(u_hat * spectrum)) for spectrum in spectra]
        v[0] = moved[0] - d[0]
        inverse = np.linalg.inv(e.T @ e + penalty * np.eye(p))
        at_samples = mix(inverse, mix(e.T, x) + penalty * camera.keep(v[0]))
        v[0][:, sampled] = at_samples.reshape(p, -1)
        inverse = np.linalg.inv(msi_weight * re.T @ re + penalty * np.eye(p))
        v[1] = mix(inverse, msi_weight * mix(re.T, y) + penalty * (moved[1] - d[1]))
        g3, g4 = moved[2] - d[2], moved[3] - d[3]
        length = np.sqrt((g3**2).sum(0) + (g4**2).sum(0))
        excess = np.maximum(0, length - smoothness / penalty)
        shrink = excess / (excess + smoothness / penalty)
        v[2], v[3] = g3 * shrink, g4 * shrink
        d = [di - (mi - vi) for di, mi, vi in zip(d, moved, v, strict=True)]
        yield u, [vi.copy() for vi in v], d


def hysure_objective(
    u: Array,
    x: Array,
    y: Array,
    directions: Array,
    response: Array,
    camera: Camera,
    msi_weight: float,
    smoothness: float,
) -> float:
    misfit = ((x - mix(directions, camera.look(u))) ** 2).sum() / 2
    misfit += msi_weight / 2 * ((y - mix(response @ directions, u)) ** 2).sum()
    return float(misfit + smoothness * np.sqrt((across(u) ** 2 + down(u) ** 2).sum(0)).sum())


Place = tuple[int, int]


def places(image: Array, step: int) -> list[Place]:
    """The first pixels of all patches, row by row."""
    return [(i, j) for i in range(0, image.shape[1], step) for j in range(0, image.shape[2], step)]


def inside(place: Place, patch: int, image: Array) -> tuple[Array, Array]:
    """Rows and columns of a patch; opposite edges of the image meet."""
    rows, cols = (np.arange(first, first + patch) for first in place)
    return np.ix_(rows % image.shape[1], cols % image.shape[2])


def cut(image: Array, place: Place, patch: int) -> Array:
    """The bands and pixels of a patch, `(bands, patch * patch)`."""
    return np.array([band[inside(place, patch, image)].ravel() for band in image])


def ltmr(
    x: Array,
    y: Array,
    response: Array,
    start: Array,
    camera: Camera,
    noise: list[float],
    covariance: Array,
    groups: list[list[Place]],
    patch: int,
    rank_weight: float,
    penalty: float,
    growth: float,
) -> Iterator[Array]:
    """Yield U after each step; `x` and `response` are in the subspace, `groups` are the clusters' patches."""
    hsi_noise, msi_noise = noise
    levels, axes = np.linalg.eigh(covariance)
    white = np.diag(levels**-0.5) @ axes.T
    v, multiplier = start, np.zeros_like(start)
    while True:
        # The equation A'A U / sh2 + (R'R / sm2 + mu W'W) U = right, along eigenvectors of the second matrix.
        precision = penalty * white.T @ white
        seen, directions = np.linalg.eigh(response.T @ response / msi_noise + precision)
        right = camera.spread(x, y.shape) / hsi_noise + mix(response.T, y) / msi_noise
        right = mix(directions.T, right + mix(precision, v - multiplier / penalty))
        rest = []
        for plane, level in zip(right, seen, strict=True):
            # Woodbury: A A' has these eigenvalues on the low-resolution grid.
            power = hsi_noise * level + folded_power(camera)
            sampled = np.real(np.fft.ifft2(np.fft.fft2(camera.look(plane[None])[0]) / power))
            rest.append((plane - camera.spread(sampled[None], y.shape)[0]) / level)
        u = mix(directions, np.array(rest))
        target = mix(white, u + multiplier / penalty)
        total, times = np.zeros_like(u), np.zeros(u.shape[1:])
        for group in groups:
            tensor = np.stack([cut(target, place, patch) for place in group])
            low = lower_multi_rank(tensor, rank_weight / penalty)
            for place, piece in zip(group, low, strict=True):
                spot = inside(place, patch, u)
                times[spot] += 1
                for band, values in zip(total, piece, strict=True):
                    band[spot] += values.reshape(patch, patch)
        v = mix(np.linalg.inv(white), total / times)
        multiplier = multiplier + penalty * (u - v)
        penalty *= growth
        yield u


def lower_multi_rank(tensor: Array, weight: float) -> Array:
    """Shrink the singular values of the frontal slices of `(patches, p, pixels)` under a logarithm."""
    slices = np.fft.fft(tensor, axis=2, norm="ortho")
    for k in range(tensor.shape[2]):
        left, values, right = np.linalg.svd(slices[:, :, k], full_matrices=False)
        for i, s in enumerate(values):
            values[i] = (s + np.sqrt(s**2 - 4 * weight)) / 2 if s**2 > 4 * weight else 0
        slices[:, :, k] = left @ np.diag(values) @ right
    return np.real(np.fft.ifft(slices, axis=2, norm="ortho"))


class LiteralUnmixing:
    """`V = W H` with pixels in columns and a row of `delta` below both."""

    def __init__(self, image: Array, spectra: Array, delta: float) -> None:
        self.v = np.vstack([image.reshape(len(image), -1), np.full((1, image[0].size), delta)])
        self.delta = delta
        self.h = np.full((spectra.shape[1], image[0].size), 1 / spectra.shape[1])
        self.set_spectra(spectra)

    def set_spectra(self, spectra: Array) -> None:
        self.w = np.vstack([spectra, np.full((1, spectra.shape[1]), self.delta)])

    def update_h(self) -> None:
        self.h = self.h * (self.w.T @ self.v) / (self.w.T @ self.w @ self.h)

    def update_w(self) -> None:
        self.w = self.w * (self.v @ self.h.T) / (self.w @ (self.h @ self.h.T))
        self.w[-1] = self.delta

    def cost(self) -> float:
        return float(((self.v - self.w @ self.h) ** 2).sum())


def cnmf(
    x: Array,
    y: Array,
    spectra: Array,
    response: Array,
    camera: Camera,
    upsample: Upsample,
    rounds: int,
    iterations: int,
    floor: float = 1e-4,
    watch: bool = False,
) -> Array:
    """Return the fused image `(C, H, W)`; no abundance starts below `floor`.

    With `watch` the cost is computed in every step, as the published programs do.
    """
    delta = 2 * (y.mean() / 0.7455) ** 0.5 / len(y) ** 3
    hsi, msi = LiteralUnmixing(x, spectra, delta), LiteralUnmixing(y, response @ spectra, delta)

    def unmix(one: LiteralUnmixing, alone: int, both: bool) -> None:
        for _ in range(alone):
            one.update_h()
            if watch:
                one.cost()
        for _ in range(iterations if both else 0):
            one.update_w()
            one.update_h()
            if watch:
                one.cost()

    unmix(hsi, 3 * iterations, True)
    msi.set_spectra(response @ hsi.w[:-1])
    msi.h = np.maximum(upsample(hsi.h.reshape(-1, *x.shape[1:])), floor).reshape(-1, y[0].size)
    unmix(msi, iterations, len(y) > 3)
    for _ in range(rounds):
        hsi.h = np.maximum(camera.look(msi.h.reshape(-1, *y.shape[1:])), floor).reshape(-1, x[0].size)
        hsi.update_w()
        unmix(hsi, 0, True)
        msi.set_spectra(response @ hsi.w[:-1])
        unmix(msi, iterations, len(y) > 3)
    return (hsi.w[:-1] @ msi.h).reshape(-1, *y.shape[1:])


def tv(
    x: Array, y: Array, response: Array, start: Array, camera: Camera, smoothness: float, inner: int
) -> Iterator[Array]:
    """Yield Z after each step; `start` is the first Z."""
    c = 8.0
    alpha = folded_power(camera).max() + np.linalg.norm(response, 2) ** 2
    z = start
    q1, q2 = np.zeros_like(z), np.zeros_like(z)
    while True:
        b = alpha * z + camera.spread(x - camera.look(z), y.shape)
        b = b + mix(response.T, y - mix(response, z))
        length = np.sqrt(across(z) ** 2 + down(z) ** 2)
        for _ in range(inner):
            rest = b - (across_adjoint(q1) + down_adjoint(q2))
            q1 = (c * q1 + across(rest)) / (2 * alpha / smoothness * length + c)
            q2 = (c * q2 + down(rest)) / (2 * alpha / smoothness * length + c)
        z = (b - (across_adjoint(q1) + down_adjoint(q2))) / alpha
        yield z


def folded_power(camera: Camera) -> Array:
    """The eigenvalues of what the camera sees of what it spreads: the mean power of the aliases."""
    s = camera.scale
    h, w = (side // s for side in camera.spectrum.shape)
    power = np.zeros((h, w))
    for i in range(s):
        for j in range(s):
            power += np.abs(camera.spectrum[i * h : (i + 1) * h, j * w : (j + 1) * w]) ** 2 / s**2
    return power


def tv_objective(x: Array, y: Array, response: Array, z: Array, camera: Camera, smoothness: float) -> float:
    misfit = ((x - camera.look(z)) ** 2).sum() + ((y - mix(response, z)) ** 2).sum()
    return float(misfit + smoothness * np.sqrt(across(z) ** 2 + down(z) ** 2).sum())


def simplex(columns: Array) -> Array:
    """The nearest columns on the simplex, by sorting (Duchi et al., ICML 2008)."""
    falling = -np.sort(-columns, axis=0)
    count = np.arange(1, len(columns) + 1)[:, None]
    levels = (np.cumsum(falling, axis=0) - 1) / count
    last = (falling > levels).cumsum(0).argmax(0)
    return np.maximum(columns - np.take_along_axis(levels, last[None], 0), 0)


def sup_res_palm(
    x: Array,
    y: Array,
    spectra: Array,
    response: Array,
    camera: Camera,
    upsample: Upsample,
    rounds: int,
    steps: int,
    first: int = 300,
) -> Array:
    """Return the fused image `(C, H, W)`; `first` steps find the first abundances."""
    low, high = x.reshape(len(x), -1), y.reshape(len(y), -1)

    def of_abundances(a: Array, e: Array, v: Array) -> Array:
        return simplex(a - e.T @ (e @ a - v) / np.linalg.norm(e.T @ e, 2))

    def of_spectra(e: Array, a: Array, v: Array) -> Array:
        return np.clip(e - (e @ a - v) @ a.T / np.linalg.norm(a @ a.T, 2), 0, 1)

    def turn(
        step: Callable[[Array, Array, Array], Array], now: Array, other: Array, v: Array, n: int
    ) -> Array:
        """Steps with Nesterov's momentum."""
        last, ahead, t = now, now, 1.0
        for _ in range(n):
            now = step(ahead, other, v)
            following = (1 + np.sqrt(1 + 4 * t**2)) / 2
            ahead = now + (t - 1) / following * (now - last)
            last, t = now, following
        return now

    e = spectra
    a = turn(of_abundances, np.full((e.shape[1], low.shape[1]), 1 / e.shape[1]), e, low, first)
    a = simplex(upsample(a.reshape(-1, *x.shape[1:])).reshape(-1, y[0].size))
    for _ in range(rounds):
        seen = camera.look(a.reshape(-1, *y.shape[1:])).reshape(-1, x[0].size)
        e = turn(of_spectra, e, seen, low, steps)
        a = turn(of_abundances, a, response @ e, high, steps)
    return (e @ a).reshape(-1, *y.shape[1:])
