"""MSG's interpolation between the levels, in the two spellings that it has."""

import pytest
import torch
import torch.nn.functional as F

from cofusion.models.cofusion.msg import resize

SIZES = [((8, 8), (16, 16)), ((5, 7), (16, 12)), ((9, 4), (4, 4)), ((1, 3), (4, 8)), ((6, 6), (6, 6))]


@pytest.fixture
def compiling(monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)


@pytest.mark.parametrize(("old", "new"), SIZES)
@pytest.mark.parametrize("grad", [True, False])
def test_resize_is_bilinear_for_compilers_too(old, new, grad, compiling):
    x = torch.randn(2, 3, *old, dtype=torch.float64, requires_grad=grad)
    like = torch.empty(2, 3, *new)
    found, expected = resize(x, like), F.interpolate(x, size=new, mode="bilinear", align_corners=False)
    torch.testing.assert_close(found, expected)
    if grad:
        weights = torch.randn_like(found)
        gradients = [torch.autograd.grad((image * weights).sum(), x)[0] for image in (found, expected)]
        torch.testing.assert_close(*gradients)


def test_mixed_precision_does_not_round_what_is_interpolated(compiling):
    x = torch.rand(1, 2, 6, 6, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = resize(x, torch.empty(1, 2, 12, 12))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, F.interpolate(x, size=(12, 12), mode="bilinear", align_corners=False))
