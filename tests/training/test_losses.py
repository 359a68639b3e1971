"""The loss against the paper's equations as a loop, and against kornia."""

import math

import pytest
import torch
from kornia.losses import SSIMLoss

from cofusion.errors import UserError
from cofusion.metrics import ssim
from cofusion.training.losses import FusionLoss


def make_pair(*shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(shape, generator=generator, dtype=dtype)
    return reference + 0.1 * torch.randn(shape, generator=generator, dtype=dtype), reference


def mirrored(index, size):
    """Reflect an index about the edge pixels: -1 -> 1, size -> size - 2."""
    return size - 1 - abs(size - 1 - abs(index))


def window_ssim(x, y, row, col):
    """Equation 6 for the 11x11 Gaussian window (sigma 1.5) centred at one pixel."""
    weights, a, b = [], [], []
    for i in range(row - 5, row + 6):
        for j in range(col - 5, col + 6):
            at = mirrored(i, len(x)), mirrored(j, len(x[0]))
            weights.append(math.exp(-((i - row) ** 2 + (j - col) ** 2) / (2 * 1.5**2)))
            a.append(x[at[0]][at[1]])
            b.append(y[at[0]][at[1]])

    def mean(values):
        return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean([(v - mean_a) ** 2 for v in a]), mean([(v - mean_b) ** 2 for v in b])
    covariance = mean([(u - mean_a) * (v - mean_b) for u, v in zip(a, b, strict=True)])
    c1, c2 = 0.01**2, 0.03**2
    above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return above / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))


def paper_loss(fused, reference, ssim_weight):
    """Equations 5 to 8 for one image given as nested lists [band][row][col]."""
    l1 = similarity = 0.0
    for x, y in zip(fused, reference, strict=True):
        for row in range(len(x)):
            for col in range(len(x[0])):
                l1 += abs(x[row][col] - y[row][col])
                similarity += window_ssim(x, y, row, col)
    count = len(fused) * len(fused[0]) * len(fused[0][0])
    return l1 / count + ssim_weight * (1 - similarity / count)


@pytest.mark.parametrize("ssim_weight", [0.1, 1.0])
def test_equals_the_papers_equations(ssim_weight):
    fused, reference = make_pair(2, 3, 9, 8, dtype=torch.float64)
    expected = [
        paper_loss(f, r, ssim_weight) for f, r in zip(fused.tolist(), reference.tolist(), strict=True)
    ]
    loss = FusionLoss(ssim_weight)(fused, reference)
    assert loss.item() == pytest.approx(sum(expected) / 2, abs=1e-12)


def test_the_papers_weight_is_the_default():
    pair = make_pair(1, 2, 8, 8)
    assert torch.equal(FusionLoss()(*pair), FusionLoss(0.1)(*pair))


def test_equals_kornia_with_twice_its_ssim_loss():
    """kornia's SSIMLoss is (1 - SSIM) / 2. Values and gradients agree."""
    fused, reference = make_pair(2, 31, 32, 32)
    ours, theirs = fused.clone().requires_grad_(), fused.clone().requires_grad_()
    loss = FusionLoss(0.1)(ours, reference)
    half = SSIMLoss(window_size=11, max_val=1.0, eps=0.0)
    expected = (theirs - reference).abs().mean() + 0.1 * 2 * half(theirs, reference)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-9)


def test_weight_zero_is_l1_alone_and_needs_no_window():
    fused, reference = make_pair(2, 3, 4, 4)
    torch.testing.assert_close(FusionLoss(0)(fused, reference), (fused - reference).abs().mean())


def test_the_ssim_is_the_reported_metric():
    fused, reference = make_pair(3, 5, 24, 20)
    difference = FusionLoss(1.0)(fused, reference) - FusionLoss(0)(fused, reference)
    torch.testing.assert_close(difference, (1 - ssim(fused, reference).mean()).float(), rtol=1e-5, atol=1e-7)


def test_gradient():
    fused, reference = make_pair(2, 2, 7, 8, dtype=torch.float64)
    assert torch.autograd.gradcheck(FusionLoss(0.5), (fused.requires_grad_(), reference))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_identical_images_have_loss_zero_and_a_finite_gradient(value):
    fused = torch.full((2, 3, 12, 12), value, requires_grad=True)
    loss = FusionLoss()(fused, fused.detach().clone())
    (gradient,) = torch.autograd.grad(loss, fused)
    assert loss.item() == 0
    assert gradient.abs().max() == 0


@pytest.mark.parametrize("level", [0.0, 1e-8, 1.0, 1e3])
def test_gradients_are_finite_against_a_zero_reference(level):
    fused = torch.full((2, 3, 12, 12), level, requires_grad=True)
    (gradient,) = torch.autograd.grad(FusionLoss()(fused, torch.zeros(2, 3, 12, 12)), fused)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_only_storage(dtype):
    fused, reference = (image.to(dtype) for image in make_pair(2, 5, 16, 16))
    expected = FusionLoss()(fused.float(), reference.float())
    assert expected.dtype == torch.float32
    assert torch.equal(FusionLoss()(fused, reference), expected)
    fused.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = FusionLoss()(fused, reference)
    assert torch.equal(loss, expected)
    loss.backward()
    assert fused.grad.dtype == dtype and fused.grad.isfinite().all()


def test_descending_it_restores_the_reference():
    """A step along the negative gradient lowers the loss, from both of its terms."""
    fused, reference = make_pair(1, 4, 16, 16)
    fused.requires_grad_()
    optimizer = torch.optim.Adam([fused], lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        FusionLoss()(fused, reference).backward()
        optimizer.step()
    assert (fused - reference).abs().mean() < 0.005
    assert ssim(fused, reference).item() > 0.999


def test_bad_input_is_refused():
    with pytest.raises(UserError, match=r"ssim_weight -0\.1: give 0 or more"):
        FusionLoss(-0.1)
    for weight in (0, 0.1):
        with pytest.raises(UserError, match="differ in shape"):
            FusionLoss(weight)(torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8))
    with pytest.raises(UserError, match=r"5x8 pixels, .* needs 6x6 or more"):
        FusionLoss()(torch.zeros(1, 3, 5, 8), torch.zeros(1, 3, 5, 8))
