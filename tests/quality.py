"""Pairs and sensors for quality without a reference, and that quality by loops over windows and pixels."""

import numpy as np
import torch

from cofusion.sensors import Sensors, SpectralResponse

EPSILON = 1e-10


def make_sensors(scale=2, size=3, first=1, hsi=4, msi=3, border="reflect"):
    """A PSF without symmetry, so that a flipped or shifted one would not pass."""
    rng = np.random.default_rng(1)
    psf = torch.from_numpy(rng.uniform(0.1, 1, (size, size)))
    weights = torch.from_numpy(rng.uniform(0.1, 1, (msi, hsi)))
    response = SpectralResponse(weights / weights.sum(1, keepdim=True), ("a", "b", "c")[:msi], "test")
    phase = first if size % 2 else first + 0.5
    return Sensors(psf / psf.sum(), scale, phase, border, response)


def make_images(scale=2, rows=9, cols=7, hsi=4, msi=3, images=2):
    rng = np.random.default_rng(0)
    sides = (images, 1, rows * scale, cols * scale)
    common = rng.uniform(0.2, 0.6, sides)
    fused, hr_msi = (common + rng.uniform(0, 0.4, (images, bands, *sides[2:])) for bands in (hsi, msi))
    # Every hyperspectral band shows one of the multispectral ones, in turn and some more than others.
    fused[:, :] += hr_msi[:, [b % msi for b in range(hsi)]]
    lr_hsi = fused[..., ::scale, ::scale] + rng.normal(0, 0.05, (images, hsi, rows, cols))
    return tuple(torch.from_numpy((0.5 * image).astype(np.float32)) for image in (fused, lr_hsi, hr_msi))


def starts(size, side):
    """First pixels of the windows: side by side, the last one moved inwards."""
    found = []
    at = 0
    while at + side < size:
        found.append(at)
        at += side
    return [*found, size - side]


def loop_window_quality(x, y):
    """Q of two lists of values."""
    count = len(x)
    mean_x, mean_y = sum(x) / count, sum(y) / count
    var_x = sum((v - mean_x) ** 2 for v in x) / count
    var_y = sum((v - mean_y) ** 2 for v in y) / count
    covariance = sum((v - mean_x) * (w - mean_y) for v, w in zip(x, y, strict=True)) / count
    luminance = (2 * mean_x * mean_y + EPSILON) / (mean_x**2 + mean_y**2 + EPSILON)
    return luminance * (2 * covariance + EPSILON) / (var_x + var_y + EPSILON)


def loop_quality(a, b, rows, cols):
    """Q of two bands (H, W): the mean over their windows."""
    found = []
    for top in starts(a.shape[0], rows):
        for left in starts(a.shape[1], cols):
            window = slice(top, top + rows), slice(left, left + cols)
            found.append(loop_window_quality(a[window].ravel().tolist(), b[window].ravel().tolist()))
    return sum(found) / len(found)


def loop_d_lambda(fused, lr_hsi, scale, low):
    """`low` is (rows, cols) of a window of the low-resolution image."""
    high = [scale * side for side in low]
    total, pairs = 0.0, 0
    for i in range(len(fused)):
        for j in range(len(fused)):
            if i != j:
                full = loop_quality(fused[i], fused[j], *high)
                total += abs(full - loop_quality(lr_hsi[i], lr_hsi[j], *low))
                pairs += 1
    return total / pairs


def loop_correlation(x, y):
    x, y = x.ravel().tolist(), y.ravel().tolist()
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    product = sum((v - mean_x) * (w - mean_y) for v, w in zip(x, y, strict=True))
    power_x, power_y = sum((v - mean_x) ** 2 for v in x), sum((w - mean_y) ** 2 for w in y)
    return product / (power_x * power_y) ** 0.5


def loop_d_s(fused, lr_hsi, hr_msi, lr_msi, scale, low, pairs):
    high = [scale * side for side in low]
    found = []
    for b in range(len(fused)):
        bands = range(len(hr_msi))
        if pairs == "matched":
            bands = [max(bands, key=lambda m, b=b: loop_correlation(lr_hsi[b], lr_msi[m]))]
        for m in bands:
            full = loop_quality(fused[b], hr_msi[m], *high)
            found.append(abs(full - loop_quality(lr_hsi[b], lr_msi[m], *low)))
    return sum(found) / len(found)


def loop_degrade(image, psf, scale, first):
    """Weigh the pixels around every kept one, the image's edge repeated; (bands, H, W) -> (bands, h, w)."""
    bands, rows, cols = image.shape
    size = len(psf)
    low = image[:, : rows // scale, : cols // scale] * 0.0
    for b in range(bands):
        for i in range(rows // scale):
            for j in range(cols // scale):
                for u in range(size):
                    for v in range(size):
                        row = min(max(i * scale + first - (size - 1) // 2 + u, 0), rows - 1)
                        col = min(max(j * scale + first - (size - 1) // 2 + v, 0), cols - 1)
                        low[b, i, j] += psf[u, v] * image[b, row, col]
    return low
