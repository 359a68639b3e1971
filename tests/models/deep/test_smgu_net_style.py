"""The SMGU-Net-style network against its formula."""

import pytest
import torch
import torch.nn.functional as F

from cofusion.models.deep import SMGUNetStyle
from cofusion.models.deep.smgu_net_style import Stage
from cofusion.sensors import upsample
from models.deep.base import BANDS, InterpolatingNetworkTests, pair
from models.deep.overfit import overfit_psnr

# The published size of SMGU-Net at 103 and 4 bands, which says no more than its order.
PUBLISHED = 6.23e6


class TestSMGUNetStyle(InterpolatingNetworkTests):
    network = SMGUNetStyle
    # This project's own: no code is published.
    test_number_of_live_parameters_is_the_published_one = None
    parameters = (5_637_404, 6_331_827, 6_570_447, 6_572_752)
    multiple = 1

    def make(self, *args, dim=16, **options):
        return super().make(*args, dim=dim, **options)

    @pytest.mark.parametrize("case", range(len(BANDS)), ids=str)
    def test_number_of_parameters(self, case):
        size = sum(p.numel() for p in SMGUNetStyle(*BANDS[case], 4).parameters())
        assert size == self.parameters[case]

    def test_size_is_near_the_published_one(self):
        assert self.parameters[BANDS.index((103, 4))] == pytest.approx(PUBLISHED, rel=0.02)

    def test_says_that_it_is_no_reproduction(self):
        assert "no reproduction of SMGU-Net" in SMGUNetStyle.__doc__

    @pytest.mark.slow
    def test_learns_one_patch_by_heart(self):
        assert overfit_psnr(self.make(), steps=500, lr=5e-3, cosine=True) > 45

    def test_width_is_checked(self):
        with pytest.raises(ValueError, match="multiple of 4, got 10"):
            self.make(dim=10)


def apart(weight, bias, image, scale):
    """D, band by band: a 13x13 correlation around the first pixel of each block."""
    reach = weight.shape[-1] // 2
    wide = F.pad(image, (reach,) * 4)
    rows, cols = image.shape[2] // scale, image.shape[3] // scale
    out = torch.empty(1, image.shape[1], rows, cols, dtype=image.dtype)
    for r in range(rows):
        for c in range(cols):
            around = wide[0, :, r * scale :, c * scale :][:, : 2 * reach + 1, : 2 * reach + 1]
            out[0, :, r, c] = (weight[:, 0] * around).sum((1, 2)) + bias
    return out


def spread(weight, bias, coarse, scale):
    """U, band by band: every sample puts the filter around the first pixel of its block."""
    reach = weight.shape[-1] // 2
    rows, cols = coarse.shape[2] * scale, coarse.shape[3] * scale
    wide = torch.zeros(1, coarse.shape[1], rows + 2 * reach, cols + 2 * reach, dtype=coarse.dtype)
    for r in range(coarse.shape[2]):
        for c in range(coarse.shape[3]):
            place = wide[0, :, r * scale :, c * scale :][:, : 2 * reach + 1, : 2 * reach + 1]
            place += weight[:, 0] * coarse[0, :, r, c, None, None]
    return wide[:, :, reach : reach + rows, reach : reach + cols] + bias[:, None, None]


@torch.no_grad()
@pytest.mark.parametrize("scale", [2, 4, 16])
def test_unfolding_formula(scale):
    torch.manual_seed(0)
    net = SMGUNetStyle(3, 2, scale, dim=8).double().eval()
    torch.nn.init.uniform_(net.steps)
    x, y = (image.double() for image in pair(3, 2, scale))
    z = upsample(x, scale, 0.0)
    for stage, (d, e) in zip(net.stages, net.steps.tolist(), strict=True):
        back = spread(net.up.weight, net.up.bias, apart(net.down.weight, net.down.bias, z, scale) - x, scale)
        a, b = z - d * back, z - e * net.unresponse(net.response(z) - y)
        z = (a + b) / 2 + stage(a, b)
    torch.testing.assert_close(net(x, y), z)


@torch.no_grad()
def test_branches_guide_each_other():
    torch.manual_seed(0)
    stage = Stage(3, 8)
    a, b = torch.randn(2, 2, 3, 5, 6)

    def run(branch, cube):
        features = branch[0](cube)
        for block in branch[1:]:
            features = features + 0.1 * block.body[2](F.gelu(block.body[0](features)))
        return features

    spectral, spatial = run(stage.spectral, a), run(stage.spatial, b)
    means = spectral.mean((2, 3), keepdim=True)
    channels = torch.sigmoid(stage.channel_gate[3](F.gelu(stage.channel_gate[1](means))))
    pixels = torch.sigmoid(
        F.conv2d(spatial, stage.spatial_gate[0].weight, stage.spatial_gate[0].bias, padding=3)
    )
    expected = stage.spectral_head(spectral * pixels) + stage.spatial_head(spatial * channels)
    torch.testing.assert_close(stage(a, b), expected)
