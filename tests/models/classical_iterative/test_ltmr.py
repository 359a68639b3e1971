"""LTMR's steps against dense algebra and loops, in float64; what its tensors are good for."""

import numpy as np
import pytest
import torch

from cofusion.metrics import psnr
from cofusion.models.classical.fourier import Torus
from cofusion.models.classical.fuse import FUSE
from cofusion.models.classical.ltmr import LTMR, Splitting, shrink
from cofusion.models.classical.patches import Patches, clusters
from models.classical_iterative import literally
from models.classical_iterative.literally import literal
from models.classical_iterative.scenes import full_rank_scene, mixed_scene, noise, sensors

P = 4


def splitting(eyes, **options):
    """The method's steps on one pair, and the pair."""
    pair = [image.double() for image in eyes.degrade(full_rank_scene())]
    e = torch.from_numpy(literally.singular_vectors(pair[0][0].numpy(), P))[None]
    quick = {"components": P, "clusters": 4, "patch": 4, "step": 3} | options
    return Splitting(LTMR(**quick), Torus(eyes, pair[1]), *pair, e), pair, e


@pytest.mark.parametrize(("scale", "phase", "sigma"), [(4, 1.5, None), (2, 0.0, 0.5)])
def test_a_step_solves_its_normal_equations_and_shrinks_what_is_left(scale, phase, sigma):
    eyes = sensors(scale, phase, sigma=sigma)
    steps, (lr_hsi, hr_msi), e = splitting(eyes, penalty=0.7)
    steps.v, steps.d = noise(*steps.u.shape, seed=3), noise(*steps.u.shape, seed=4) - 0.5
    mean, before = (steps.v - steps.d)[0].flatten(1).numpy(), steps.d.clone()
    x, y, response, _ = literally.arrays(lr_hsi, hr_msi, eyes)
    a, re = literally.sampling_matrix(eyes, *y.shape[1:]), response @ e[0].numpy()
    xs = literal.mix(e[0].numpy().T, x)
    covariance = literally.rooted(literally.neighbour_covariance(xs))
    precision = 0.7 * np.linalg.inv(covariance)
    hsi_noise, msi_noise = ((image**2).mean() / 1e6 for image in (x, y))
    right = xs.reshape(P, -1) @ a / hsi_noise + re.T @ y.reshape(len(y), -1) / msi_noise + precision @ mean
    steps.step()
    left = literally.normal_equations(a, re, hsi_noise, msi_noise, precision) @ steps.u[0].numpy().ravel()
    assert np.linalg.norm(left - right.ravel()) < 1e-10 * np.linalg.norm(right)
    torch.testing.assert_close(steps.whiten @ steps.colour, torch.eye(P).double()[None])
    torch.testing.assert_close(steps.colour @ steps.colour.mT, torch.from_numpy(covariance)[None])
    # The multiplier μ D gains μ (U - V).
    moved = (before + steps.u - steps.v) * 0.7
    torch.testing.assert_close(steps.d * steps.penalty, moved, atol=1e-12, rtol=0)
    assert steps.penalty == pytest.approx(0.7 * 1.05)


def test_the_split_closes_while_both_images_stay_explained():
    eyes = sensors(4)
    steps, (lr_hsi, hr_msi), e = splitting(eyes, growth=1.4)
    gaps, misfits = [], []
    for _ in range(30):
        steps.step()
        gaps.append(float((steps.u - steps.v).norm()))
        scene = torch.einsum("bcp,bphw->bchw", e, steps.u)
        rest = torch.einsum("bcp,bchw->bphw", e, eyes.lr_hsi(scene) - lr_hsi)
        misfits.append(float(rest.norm() + (eyes.hr_msi(scene) - hr_msi).norm()))
    assert gaps[-1] < 1e-3 * gaps[0]
    assert max(misfits) < 1.05 * misfits[0]


@pytest.mark.parametrize(("count", "pixels", "p"), [(12, 9, 4), (3, 16, 6), (5, 1, 1), (1, 5, 3)])
@pytest.mark.parametrize("weight", [1e-6, 0.02, 1.0])
def test_multi_rank_is_lowered_slice_by_slice(count, pixels, p, weight):
    tensor = noise(count, pixels, p) - 0.3
    expected = literal.lower_multi_rank(tensor.mT.numpy(), weight)
    torch.testing.assert_close(shrink(tensor, weight).mT, torch.from_numpy(expected))


@pytest.mark.parametrize("value", [0.0, 0.3, 0.99, 1.01, 1.5, 40.0])
def test_a_singular_value_becomes_the_minimum_next_to_it(value):
    weight = 0.25
    shrunk = float(shrink(torch.tensor([[[value]]]).double(), weight))
    t = np.linspace(1e-4, value + 1, 2_000_001)
    cost = weight * np.log(t) + (t - value) ** 2 / 2
    minima = 1 + np.flatnonzero((cost[1:-1] < cost[:-2]) & (cost[1:-1] < cost[2:]))
    assert shrunk == pytest.approx(t[minima[-1]] if len(minima) else 0, abs=1e-4)


def test_what_patches_share_is_kept_and_their_noise_goes():
    shared = torch.einsum("nr,rqp->nqp", noise(80, 2, seed=1), noise(2, 9, 6, seed=2))
    grain = 0.02 * torch.randn(80, 9, 6, generator=torch.Generator().manual_seed(3)).double()
    found = shrink(shared + grain, 0.02)
    # Of 6 directions 2 are left of the grain.
    assert (found - shared).norm() < 0.65 * grain.norm()
    ranks = torch.linalg.matrix_rank(torch.fft.rfft(found, dim=1).transpose(0, 1), rtol=1e-9)
    assert ranks.tolist() == [2] * 5


@pytest.mark.parametrize(
    ("size", "patch", "step"), [((12, 10), 4, 3), ((7, 5), 3, 3), ((6, 6), 1, 1), ((3, 4), 7, 2)]
)
def test_patches_are_cut_around_the_edges_and_joined_by_their_mean(size, patch, step):
    image = noise(2, *size)
    patches = Patches(size, patch, step)
    places = literal.places(image, step)
    expected = np.stack([literal.cut(image.numpy(), place, patch).T for place in places])
    pieces = patches.cut(image)
    np.testing.assert_array_equal(pieces, expected)
    torch.testing.assert_close(patches.join(pieces), image)
    other = noise(*pieces.shape, seed=5)
    total, times = np.zeros((2, *size)), np.zeros(size)
    for n, (i, j) in enumerate(places):
        for k in range(patch * patch):
            at = (i + k // patch) % size[0], (j + k % patch) % size[1]
            total[:, at[0], at[1]] += other[n, k].numpy()
            times[at] += 1
    torch.testing.assert_close(patches.join(other), torch.from_numpy(total / times))


def test_points_go_to_the_nearest_mean_of_their_like():
    blobs = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]]).double()
    kind = torch.arange(300) % 3
    points = blobs[kind] + 0.3 * noise(300, 2)
    groups = clusters(points, 12, seed=0)
    assert torch.equal(torch.cat(groups).sort()[0], torch.arange(300))
    assert all(len(kind[group].unique()) == 1 for group in groups)
    means = torch.stack([points[group].mean(0) for group in groups])
    near = torch.cdist(points, means).argmin(1)
    settled = sum(int((near[group] == k).sum()) for k, group in enumerate(groups))
    assert settled > 290
    assert [len(group) for group in clusters(points[:1].expand(9, 2), 4, seed=0)] == [9]


@pytest.mark.parametrize("snr", [20.0, 30.0])
def test_of_noisy_images_more_is_won_than_by_fuse(snr):
    eyes = sensors(4, snr=snr)
    scene = mixed_scene(rank=4, rows=96, cols=96, width=4.0)
    pair = eyes.degrade(scene)
    assert psnr(LTMR()(*pair, eyes), scene) > psnr(FUSE()(*pair, eyes), scene) + 1
