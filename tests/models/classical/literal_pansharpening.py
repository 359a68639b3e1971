"""The pansharpening methods as their formulas say: one image, NumPy, loops over bands and pixels.

Every method takes `(x (C, h, w), y (c, H, W), sensors, match)`.
"""

import math

import numpy as np
import pywt
from scipy.optimize import nnls


def down(image, sensors, border="reflect"):
    """Blur and decimate pixel by pixel."""
    psf, s = sensors.psf.numpy(), sensors.scale
    size = len(psf)
    before, after = (size - 1) // 2, size // 2
    kept = int(sensors.phase - (0 if size % 2 else 0.5))
    padded = np.pad(image, ((0, 0), (before, after), (before, after)), mode=border)
    low = np.zeros((len(image), image.shape[1] // s, image.shape[2] // s))
    for i in range(low.shape[1]):
        for j in range(low.shape[2]):
            r, c = i * s + kept, j * s + kept
            low[:, i, j] = (padded[:, r : r + size, c : c + size] * psf).sum((1, 2))
    return low


def cubic(t):
    t = abs(t)
    if t <= 1:
        return 1.25 * t**3 - 2.25 * t**2 + 1
    return -0.75 * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


def up(low, sensors):
    s = sensors.scale
    bands, h, w = low.shape
    high = np.zeros((bands, h * s, w * s))
    for i in range(h * s):
        for j in range(w * s):
            u, v = (i - sensors.phase) / s, (j - sensors.phase) / s
            for p in range(math.floor(u) - 1, math.floor(u) + 3):
                for q in range(math.floor(v) - 1, math.floor(v) + 3):
                    sample = low[:, min(max(p, 0), h - 1), min(max(q, 0), w - 1)]
                    high[:, i, j] += cubic(u - p) * cubic(v - q) * sample
    return high


def guides(x, y, sensors, match):
    """Return every band's guide P, the guide at low resolution, and the bands sharpened with it."""
    low = down(y, sensors)
    columns = low.reshape(len(y), -1).T
    one = np.ones((len(columns), 1))
    if match == "selection":
        best = [
            max(range(len(y)), key=lambda i, band=band: np.corrcoef(band.ravel(), columns[:, i])[0, 1])
            for band in x
        ]
        groups = [[k for k in range(len(x)) if best[k] == best[j]] for j in range(len(x))]
        return y[best], low[best], groups
    high, small = [], []
    for band in x:
        if match == "least_squares":
            *a, b = np.linalg.lstsq(np.hstack([columns, one]), band.ravel(), rcond=None)[0]
        else:
            *a, plus, minus = nnls(np.hstack([columns, one, -one]), band.ravel())[0]
            b = plus - minus
        high.append(np.tensordot(a, y, 1) + b)
        small.append(np.tensordot(a, low, 1) + b)
    return np.array(high), np.array(small), [list(range(len(x)))] * len(x)


def equalise(guide, guide_low, target):
    return (guide - guide_low.mean()) * target.std() / guide_low.std() + target.mean()


def ridge_fit(rows, right, level):
    """Least squares with `level |w|²` added, as rows of their own."""
    n = rows.shape[1]
    rows = np.vstack([rows, math.sqrt(level) * np.eye(n)])
    return np.linalg.lstsq(rows, np.concatenate([right, np.zeros(n)]), rcond=None)[0]


def substitution(x, y, sensors, match, component, gain, equalised=True):
    p, low, groups = guides(x, y, sensors, match)
    fine, fused = up(x, sensors), []
    for j, members in enumerate(groups):
        w, w0 = component(x[members], low[j], x)
        i_low, i = (np.tensordot(w, image[members], 1) + w0 for image in (x, fine))
        guide = equalise(p[j], low[j], i_low) if equalised else p[j]
        fused.append(fine[j] + gain(w[members.index(j)], i_low, x[j]) * (guide - i))
    return np.array(fused)


def average(bands, low, x):
    return np.full(len(bands), 1 / len(bands)), 0.0


def first_component(bands, low, x):
    values = bands.reshape(len(bands), -1)
    mean = values.mean(1)
    w = np.linalg.svd((values.T - mean), full_matrices=False)[2][0]
    w = w * np.sign(np.corrcoef(w @ values, low.ravel())[0, 1])
    return w, -w @ mean


def adaptive(bands, low, x):
    values = bands.reshape(len(bands), -1)
    mean, n = values.mean(1), values.shape[1]
    level = 1e-6 * np.mean([band.var() for band in x]) * n
    w = ridge_fit(values.T - mean, low.ravel() - low.mean(), level)
    return w, low.mean() - w @ mean


def slope(weight, i_low, band):
    return np.cov(i_low.ravel(), band.ravel(), bias=True)[0, 1] / i_low.var()


def ihs(x, y, sensors, match):
    return substitution(x, y, sensors, match, average, lambda weight, i_low, band: 1.0)


def pca(x, y, sensors, match):
    return substitution(x, y, sensors, match, first_component, lambda weight, i_low, band: weight)


def gs(x, y, sensors, match):
    return substitution(x, y, sensors, match, average, slope)


def gsa(x, y, sensors, match):
    return substitution(x, y, sensors, match, adaptive, slope, equalised=False)


def brovey(x, y, sensors, match):
    p, low, groups = guides(x, y, sensors, match)
    fine = up(x, sensors)
    return np.array(
        [
            fine[j] * equalise(p[j], low[j], x[group].mean(0)) / fine[group].mean(0)
            for j, group in enumerate(groups)
        ]
    )


def bdsd(x, y, sensors, match, constrained=False):
    p, low, groups = guides(x, y, sensors, match)
    # Rows and columns beyond the last whole block cannot be degraded once more.
    rows, cols = (size // sensors.scale * sensors.scale for size in x.shape[1:])
    answer, low = x[:, :rows, :cols], low[:, :rows, :cols]
    fine, lower, fused = up(x, sensors), up(down(answer, sensors, "edge"), sensors), []
    level = 1e-4 * np.mean([(band**2).sum() for band in lower])
    for j, members in enumerate(groups):
        columns = np.vstack([lower[members].reshape(len(members), -1), low[j].reshape(1, -1)]).T
        right = (answer[j] - lower[j]).ravel()
        if constrained:
            sign = np.array([-1.0] * len(members) + [1.0])
            regularised = np.vstack([columns * sign, math.sqrt(level) * np.eye(len(sign))])
            gamma = sign * nnls(regularised, np.concatenate([right, np.zeros(len(sign))]))[0]
        else:
            gamma = ridge_fit(columns, right, level)
        fused.append(fine[j] + np.tensordot(gamma[:-1], fine[members], 1) + gamma[-1] * p[j])
    return np.array(fused)


def bdsd_pc(x, y, sensors, match):
    return bdsd(x, y, sensors, match, constrained=True)


def sfim(x, y, sensors, match):
    p, low, _ = guides(x, y, sensors, match)
    fine, fused = up(x, sensors), np.zeros((len(x), *y.shape[1:]))
    reach = sensors.scale // 2
    for j in range(len(x)):
        guide = equalise(p[j], low[j], x[j])
        padded = np.pad(guide, reach, mode="edge")
        for r in range(guide.shape[0]):
            for c in range(guide.shape[1]):
                mean = padded[r : r + 2 * reach + 1, c : c + 2 * reach + 1].mean()
                fused[j, r, c] = fine[j, r, c] * guide[r, c] / mean
    return fused


def sfim_hs(x, y, sensors, match):
    p, low, _ = guides(x, y, sensors, match)
    fused = np.zeros((len(x), *y.shape[1:]))
    places = [sensors.phase + sensors.scale * np.arange(size) for size in x.shape[1:]]
    for r in range(y.shape[1]):
        for c in range(y.shape[2]):
            # Of two samples equally far away, the later one.
            i, k = (
                len(place) - 1 - np.abs(place - at)[::-1].argmin()
                for place, at in zip(places, (r, c), strict=True)
            )
            fused[:, r, c] = x[:, i, k] * p[:, r, c] / low[:, i, k]
    return fused


def mtf_glp(x, y, sensors, match, injection="equalised"):
    p, low, _ = guides(x, y, sensors, match)
    fine, smooth, fused = up(x, sensors), up(down(p, sensors), sensors), []
    for j in range(len(x)):
        match injection:
            case "equalised":
                gain = x[j].std() / low[j].std()
            case "regression":
                gain = slope(None, low[j], x[j])
            case "full_scale":
                gain = (
                    np.cov(fine[j].ravel(), p[j].ravel())[0, 1]
                    / np.cov(smooth[j].ravel(), p[j].ravel())[0, 1]
                )
        fused.append(fine[j] + gain * (p[j] - smooth[j]))
    return np.array(fused)


def mtf_glp_hpm(x, y, sensors, match):
    p, low, _ = guides(x, y, sensors, match)
    fine = up(x, sensors)
    matched = np.array([equalise(p[j], low[j], x[j]) for j in range(len(x))])
    return fine * matched / up(down(matched, sensors), sensors)


def glp_hs(x, y, sensors, match):
    p = guides(x, y, sensors, match)[0]
    return up(x, sensors) + p - up(down(p, sensors), sensors)


def awlp(x, y, sensors, match):
    p, low, groups = guides(x, y, sensors, match)
    fine, fused = up(x, sensors), []
    spline = np.array([1, 4, 6, 4, 1]) / 16
    for j, members in enumerate(groups):
        guide = equalise(p[j], low[j], x[members].mean(0))
        smooth = guide
        for level in range(int(math.log2(sensors.scale))):
            gap = 2**level
            padded = np.pad(smooth, 2 * gap, mode="edge")
            rows, cols = guide.shape
            smooth = sum(
                spline[a] * spline[b] * padded[a * gap : a * gap + rows, b * gap : b * gap + cols]
                for a in range(5)
                for b in range(5)
            )
        fused.append(fine[j] + fine[j] / fine[members].mean(0) * (guide - smooth))
    return np.array(fused)


def dwt(x, y, sensors, match):
    p, low, _ = guides(x, y, sensors, match)
    fine, fused = up(x, sensors), []
    levels = int(math.log2(sensors.scale))
    for j in range(len(x)):
        bands = pywt.wavedec2(fine[j], "haar", level=levels)
        details = pywt.wavedec2(equalise(p[j], low[j], x[j]), "haar", level=levels)
        fused.append(pywt.waverec2([bands[0], *details[1:]], "haar"))
    return np.array(fused)
