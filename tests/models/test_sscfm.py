"""The cross fusion of the two streams."""

import pytest
import torch

from cofusion.models.cofusion.sscfm import SSCFM


def streams():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, 8, 6, 6, generator=generator), torch.rand(1, 8, 6, 6, generator=generator)


def test_each_stream_sees_the_other():
    sscfm = SSCFM(8).eval()
    f_spa, f_spe = streams()
    spa, spe = sscfm(f_spa, f_spe)
    assert not torch.allclose(spa, sscfm(f_spa, f_spe.flip(2))[0])
    assert not torch.allclose(spe, sscfm(f_spa.flip(2), f_spe)[1])


def test_masks_are_a_softmax_over_the_two_granularities():
    stream = SSCFM(8).eval().spatial
    f_spa, _ = streams()
    small, large = stream.masks(f_spa)
    normed = stream.norm(f_spa)
    expected = torch.softmax(torch.stack((stream.lka3(normed), stream.lka5(normed))), 0)
    torch.testing.assert_close(torch.stack((small, large)), expected)


def test_dropout_hits_the_large_mask_alone():
    stream = SSCFM(8).train().spatial
    small, large = stream.masks(torch.rand(4, 8, 32, 32))
    assert (small != 0).all()
    assert (large == 0).float().mean().item() == pytest.approx(0.1, abs=0.02)


def test_width_must_split_into_four():
    with pytest.raises(ValueError, match="dim 6"):
        SSCFM(6)
