"""The network as its users see it: shapes, sizes, variants, budgets, errors."""

import re

import pytest
import torch

from cofusion import CoFusion
from cofusion.models import Bicubic
from cofusion.sensors import upsample
from command import SHALLOW

VARIANTS = ("full", "no_spacam", "no_specam", "no_sscfm")


def pair(hsi=5, msi=3, scale=4, rows=3, cols=4, batch=1):
    generator = torch.Generator().manual_seed(0)
    lr_hsi = torch.rand(batch, hsi, rows, cols, generator=generator)
    hr_msi = torch.rand(batch, msi, rows * scale, cols * scale, generator=generator)
    return lr_hsi, hr_msi


def small(hsi=5, msi=3, scale=4, **kwargs):
    torch.manual_seed(0)
    return CoFusion(hsi, msi, scale, dim=8, **SHALLOW, **kwargs)


@pytest.mark.parametrize("scale", [2, 3, 4, 5, 8, 16])
@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (2, 7), (5, 3)])
def test_any_size_and_scale(scale, rows, cols):
    lr_hsi, hr_msi = pair(scale=scale, rows=rows, cols=cols)
    fused = small(scale=scale)(lr_hsi, hr_msi)
    assert fused.shape == (1, 5, rows * scale, cols * scale)
    assert fused.isfinite().all()


@pytest.mark.parametrize(("hsi", "msi"), [(1, 1), (400, 13), (31, 3)])
def test_any_number_of_bands(hsi, msi):
    fused = small(hsi, msi)(*pair(hsi, msi))
    assert fused.shape == (1, hsi, 12, 16)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_trains_every_module(variant):
    net = small(variant=variant)
    lr_hsi, hr_msi = pair(batch=2)
    (net(lr_hsi, hr_msi) - upsample(lr_hsi, 4, 0.0) - 0.1).square().mean().backward()
    assert {name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()} == set()


@pytest.mark.parametrize(
    ("variant", "millions"),
    [("full", 4.91), ("no_spacam", 3.58), ("no_specam", 4.15), ("no_sscfm", 4.62)],
)
def test_parameters_are_those_of_table_3(variant, millions):
    net = CoFusion(103, 4, 4, variant=variant)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, rel=0.01)


def test_padding_leaves_no_trace():
    """A network without learned detail returns the interpolated cube at sizes that it must pad."""
    net = small(scale=3, phase=1.0).eval()
    torch.nn.init.zeros_(net.head[-1].weight)
    torch.nn.init.zeros_(net.head[-1].bias)
    lr_hsi, hr_msi = pair(scale=3, rows=5, cols=7)
    torch.testing.assert_close(net(lr_hsi, hr_msi), Bicubic(3, phase=1.0)(lr_hsi, hr_msi))


def test_evaluation_repeats_and_images_of_a_batch_are_independent():
    net = small().eval()
    lr_hsi, hr_msi = pair(batch=3)
    together = net(lr_hsi, hr_msi)
    assert torch.equal(together, net(lr_hsi, hr_msi))
    alone = torch.cat([net(lr_hsi[i : i + 1], hr_msi[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_inputs_are_left_alone():
    lr_hsi, hr_msi = pair()
    before = lr_hsi.clone(), hr_msi.clone()
    small()(lr_hsi, hr_msi)
    assert torch.equal(lr_hsi, before[0])
    assert torch.equal(hr_msi, before[1])


def test_the_msi_matters():
    net = small().eval()
    lr_hsi, hr_msi = pair()
    assert not torch.allclose(net(lr_hsi, hr_msi), net(lr_hsi, hr_msi.flip(2)))


def test_mixed_precision():
    with torch.autocast("cpu", torch.bfloat16):
        fused = small()(*pair())
    assert fused.isfinite().all()


@pytest.mark.parametrize(
    ("lr_shape", "hr_shape", "named"),
    [
        ((1, 4, 3, 3), (1, 3, 12, 12), "(1, 4, 3, 3)"),
        ((1, 5, 3, 3), (1, 2, 12, 12), "(1, 2, 12, 12)"),
        ((1, 5, 3, 3), (1, 3, 12, 11), "(1, 3, 12, 12)"),
        ((2, 5, 3, 3), (1, 3, 12, 12), "(2, 3, 12, 12)"),
        ((5, 3, 3), (3, 12, 12), "(batch, bands, rows, cols)"),
    ],
)
def test_mismatched_images_are_named(lr_shape, hr_shape, named):
    with pytest.raises(ValueError, match="expected") as error:
        small()(torch.rand(lr_shape), torch.rand(hr_shape))
    assert named in str(error.value)
    assert str(tuple(lr_shape)) in str(error.value)
    assert str(tuple(hr_shape)) in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 1}, "scale must be an integer of at least 2, got 1"),
        ({"scale": 2.5}, "scale must be an integer of at least 2, got 2.5"),
        ({"dim": 10}, "multiple of 4, got 10"),
        ({"variant": "none"}, "got 'none'"),
        ({"phase": 4.0}, "phase must lie in 0..3.5"),
        ({"hsi_bands": 0}, "at least one band"),
        ({"spacam_depths": (1, 1)}, "3 numbers"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        CoFusion(**{"hsi_bands": 5, "msi_bands": 3, "scale": 4, "dim": 8} | arguments)
