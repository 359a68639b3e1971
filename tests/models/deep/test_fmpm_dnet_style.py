"""The FMPM-DNet-style network against literal versions of its operators."""

import pytest
import torch
import torch.nn.functional as F

from cofusion.models.deep import FMPMDNetStyle
from cofusion.models.deep.fmpm_dnet_style import DFMU, FPMU, WaveMixing, filter_by_pixel
from cofusion.sensors import upsample
from models.deep.base import BANDS, InterpolatingNetworkTests, pair
from models.deep.overfit import overfit_psnr

# The published size of FMPM-DNet at 103 and 4 bands, which says no more than its order.
PUBLISHED = 5.84e6


class TestFMPMDNetStyle(InterpolatingNetworkTests):
    network = FMPMDNetStyle
    # This project's own: no code is published.
    test_number_of_live_parameters_is_the_published_one = None
    parameters = (5_644_543, 5_811_655, 5_868_128, 5_869_280)
    multiple = 1

    def make(self, *args, dim=16, **options):
        return super().make(*args, dim=dim, **options)

    @pytest.mark.parametrize("case", range(len(BANDS)), ids=str)
    def test_number_of_parameters(self, case):
        size = sum(p.numel() for p in FMPMDNetStyle(*BANDS[case], 4).parameters())
        assert size == self.parameters[case]

    def test_size_is_near_the_published_one(self):
        assert self.parameters[BANDS.index((103, 4))] == pytest.approx(PUBLISHED, rel=0.02)

    def test_says_that_it_is_no_reproduction(self):
        assert "no reproduction of FMPM-DNet" in FMPMDNetStyle.__doc__

    @torch.no_grad()
    def test_flow_step_by_step(self):
        net = self.make().eval()
        lr_hsi, hr_msi = pair()
        base = upsample(lr_hsi, 4, 0.0)
        spectral, spatial = net.embed_hsi(base), net.embed_msi(hr_msi)
        for i in range(3):
            spatial = net.waves[i](spatial)
            spectral = net.modulations[i](spectral, spatial)
        depths = [net.join(torch.cat((spectral, spatial), 1))]
        for i in range(5):
            x = depths[-1]
            for block in net.depths[i]:
                x = x + 0.1 * block.body[2](F.gelu(block.body[0](x)))
            depths.append(x)
        expected = base + net.head(net.masks(depths[1:]))
        torch.testing.assert_close(net(lr_hsi, hr_msi), expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.slow
    def test_learns_one_patch_by_heart(self):
        assert overfit_psnr(self.make(), steps=700, lr=4e-3, cosine=True) > 45

    def test_width_is_checked(self):
        with pytest.raises(ValueError, match="multiple of 8, got 12"):
            self.make(dim=12)


def filter_by_loop(x, kernels):
    wide = F.pad(x, (1, 1, 1, 1), mode="replicate")
    out = torch.zeros_like(x)
    share = x.shape[1] // kernels.shape[1]
    for channel in range(x.shape[1]):
        for r in range(x.shape[2]):
            for c in range(x.shape[3]):
                around = wide[:, channel, r : r + 3, c : c + 3].flatten(1)
                out[:, channel, r, c] = (around * kernels[:, channel // share, :, r, c]).sum(1)
    return out


def test_filter_by_pixel_equals_the_loop():
    torch.manual_seed(0)
    x, kernels = torch.randn(2, 6, 3, 4), torch.randn(2, 2, 9, 3, 4)
    torch.testing.assert_close(filter_by_pixel(x, kernels), filter_by_loop(x, kernels))
    memory = {"memory_format": torch.channels_last}
    torch.testing.assert_close(filter_by_pixel(x.contiguous(**memory), kernels), filter_by_loop(x, kernels))


@torch.no_grad()
def test_waves_have_amplitude_and_phase():
    torch.manual_seed(0)
    layer = WaveMixing(4)
    x = torch.randn(1, 4, 5, 6)
    wave = torch.polar(torch.ones(1), torch.zeros(1)) * layer.amplitude(x)
    wave = wave * torch.exp(1j * layer.phase(x))
    torch.testing.assert_close(layer(x), x + layer.mix(torch.cat((wave.real, wave.imag), 1)))


@torch.no_grad()
def test_dfmu_step_by_step():
    torch.manual_seed(0)
    unit = DFMU(16)
    spectral, spatial = torch.randn(2, 2, 16, 3, 4)
    seen = F.gelu(unit.observe[0](torch.cat((spectral, spatial), 1)))
    filtered = filter_by_loop(spectral, unit.kernels(seen).reshape(2, 2, 9, 3, 4))
    means = seen.mean((2, 3), keepdim=True)
    gate = torch.sigmoid(unit.gate[3](F.gelu(unit.gate[1](means))))
    torch.testing.assert_close(unit(spectral, spatial), spectral + unit.proj(filtered * gate))


@torch.no_grad()
def test_fpmu_averages_neighbours_and_weighs_depths():
    torch.manual_seed(0)
    unit = FPMU(8)
    features = list(torch.randn(5, 1, 8, 3, 4))
    local = []
    for logits, x in zip(unit.within, features, strict=True):
        weights = logits(x).reshape(1, 1, 9, 3, 4).exp()
        local.append(filter_by_loop(x, weights / weights.sum(2, keepdim=True)))
    mask = 1 / (1 + torch.exp(-unit.across(torch.cat(features, 1))))
    torch.testing.assert_close(unit(features), features[4] + unit.merge(mask * torch.cat(local, 1)))
