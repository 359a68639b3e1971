"""HSRnet against a literal version of its flow."""

import pytest
import torch
import torch.nn.functional as F

from cofusion.models.deep import HSRnet
from cofusion.sensors import upsample
from models.deep.base import InterpolatingNetworkTests, pair
from models.deep.overfit import overfit_psnr

# A 6x6 convolution of the published code whose output goes nowhere.
UNUSED = 6 * 6 + 1


class TestHSRnet(InterpolatingNetworkTests):
    network = HSRnet
    parameters = (633_438 - UNUSED, 2_153_899 - UNUSED, 3_009_938 - UNUSED, 3_029_199 - UNUSED)
    multiple = 1

    def make(self, *args, **options):
        # Fresh, the network's own part is as large as ten times the image, and its rounding errors too.
        net = super().make(*args, **options)
        torch.nn.init.normal_(net.head.weight, std=0.003)
        return net

    @pytest.mark.parametrize(
        ("scale", "published"),
        [
            (2, (519_234, 962_395, 1_197_458, 1_202_895)),
            (8, (1_090_254, 6_919_915, 10_259_858, 10_334_415)),
        ],
    )
    def test_number_of_parameters_at_other_scales(self, scale, published):
        for bands, count in zip(((31, 3), (103, 4), (128, 3), (128, 4)), published, strict=True):
            assert sum(p.numel() for p in self.make(*bands, scale).parameters()) == count - UNUSED

    @torch.no_grad()
    @pytest.mark.parametrize("scale", [2, 3, 4, 8])
    def test_flow_step_by_step(self, scale):
        net = self.make(scale=scale)
        for p in net.parameters():
            if p.ndim == 1:
                torch.nn.init.normal_(p)
        x, y = pair(scale=scale)
        expected = upsample(x, scale, 0.0) + detail_by_loop(dict(net.named_parameters()), x, y, scale)
        torch.testing.assert_close(net(x, y), expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.slow
    def test_learns_one_scene_by_heart(self):
        torch.manual_seed(0)
        assert overfit_psnr(HSRnet(5, 3, 4), steps=600, lr=2e-4) > 45


def leaky(x):
    return torch.where(x > 0, x, 0.2 * x)


def same_convolution(image, weight, bias, stride):
    """TensorFlow's `SAME`: as many outputs as strides, zeros at both ends, the odd one at the second."""
    side = weight.shape[-1]
    rows, cols = (-(-size // stride) for size in image.shape[-2:])
    before = max((rows - 1) * stride + side - image.shape[-2], 0) // 2
    room = F.pad(image, (before, side + stride, before, side + stride))
    out = torch.empty(image.shape[0], len(weight), rows, cols)
    for r in range(rows):
        for c in range(cols):
            window = room[:, :, r * stride : r * stride + side, c * stride : c * stride + side]
            out[:, :, r, c] = torch.einsum("bcij,ocij->bo", window, weight) + bias
    return out


def shuffle_by_loop(channels, scale):
    """Band b at place (i, j) of a block is channel `(b scale + i) scale + j`."""
    batch, count, rows, cols = channels.shape
    out = torch.empty(batch, count // scale**2, rows * scale, cols * scale)
    for b in range(count // scale**2):
        for i in range(scale):
            for j in range(scale):
                out[:, b, i::scale, j::scale] = channels[:, (b * scale + i) * scale + j]
    return out


def detail_by_loop(p, x, y, scale):
    def conv(name, image, stride=1):
        return same_convolution(image, p[f"{name}.weight"], p[f"{name}.bias"], stride)

    means = x.mean((2, 3), keepdim=True)
    by_band = torch.sigmoid(conv("channel_attention.2", leaky(conv("channel_attention.0", means))))
    by_pixel = torch.sigmoid(conv("spatial_attention.1", y.mean(1, keepdim=True)))
    coarse = torch.cat((x, conv("down_msi.1", y, scale)), 1)
    fine = shuffle_by_loop(leaky(conv("upsampler.0", coarse)), scale)
    features = leaky(conv("embed.0", torch.cat((fine, y), 1)))
    for block in range(6):
        hidden = leaky(conv(f"blocks.{block}.body.0", features))
        features = features + conv(f"blocks.{block}.body.2", hidden)
    return by_band * conv("head", by_pixel * features)
