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
    normed = stream.norm(f_spa)
    small, large = torch.softmax(torch.stack((stream.lka3(normed), stream.lka5(normed))), 0)
    # Of the four segments of two channels, the odd ones take the 5x5 mask.
    expected = torch.cat((small[:, 0:2], large[:, 2:4], small[:, 4:6], large[:, 6:8]), 1)
    torch.testing.assert_close(stream.masks(f_spa), expected)


def test_dropout_hits_the_large_masks_alone():
    torch.manual_seed(0)
    stream = SSCFM(8).train().spatial
    segments = stream.masks(torch.rand(4, 8, 32, 32)).unflatten(1, (4, 2))
    assert (segments[:, 0::2] != 0).all()
    assert (segments[:, 1::2] == 0).float().mean().item() == pytest.approx(0.1, abs=0.02)


def test_cross_operator_by_its_definition():
    torch.manual_seed(0)
    stream = SSCFM(8).eval().spectral
    f, masks = torch.randn(2, 8, 5, 4), torch.rand(2, 8, 5, 4)
    v = stream.sse(f.flatten(2).max(2).values)
    segments = [f[:, s : s + 2] * v[:, s : s + 2, None, None] * masks[:, s : s + 2] for s in range(0, 8, 2)]
    expected = f + 0.1 * stream.out(torch.cat(segments, 1))
    torch.testing.assert_close(stream(f, masks), expected)


def test_width_must_split_into_four():
    with pytest.raises(ValueError, match="dim 6"):
        SSCFM(6)
