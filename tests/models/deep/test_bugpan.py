"""BUGPan against its flow written out and literal versions of its operators."""

import math

import pytest
import torch
import torch.nn.functional as F

from cofusion.models.deep import BUGPan
from cofusion.models.deep.bugpan import RIJAK, Gate
from cofusion.models.deep.masksembles import Masksembles, fixed_masks
from cofusion.sensors import upsample
from models.deep.base import BANDS, InterpolatingNetworkTests, pair
from models.deep.overfit import overfit_psnr


class TestBUGPan(InterpolatingNetworkTests):
    network = BUGPan
    parameters = (488_461, 1_992_485, 2_860_208, 2_862_960)
    multiple = 1

    @pytest.mark.parametrize("case", range(len(BANDS)), ids=str)
    def test_number_of_parameters_with_gates_is_the_published_one(self, case):
        net = self.make(*BANDS[case], gated=True)
        published = (509_379, 2_025_499, 2_897_422, 2_900_174)
        assert sum(p.numel() for p in net.parameters()) == published[case]

    def test_gradients_reach_the_gates(self):
        net = self.make(gated=True)
        (net(*pair(batch=2)) - 0.3).square().mean().backward()
        without = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()}
        assert without == set()
        assert all(p.grad.isfinite().all() for p in net.parameters())

    def test_gates_in_mixed_precision_and_at_any_size(self):
        net = self.make(gated=True)
        with torch.autocast("cpu", torch.bfloat16):
            net(*pair(rows=1, cols=1)).float().sum().backward()
        assert all(p.grad.isfinite().all() for p in net.parameters())

    @torch.no_grad()
    @pytest.mark.parametrize(("logits", "rounds"), [((5.0, 0.0), 1), ((0.0, 5.0), 5)])
    def test_closed_gates_leave_the_first_round_and_open_ones_all(self, logits, rounds):
        gated = self.make(gated=True).eval()
        for block in gated.blocks:
            block.gate.logits[-1].weight.zero_()
            block.gate.logits[-1].bias.copy_(torch.tensor(logits))
        static = self.make(recursions=rounds).eval()
        static.load_state_dict({k: v for k, v in gated.state_dict().items() if ".gate." not in k})
        torch.testing.assert_close(gated(*pair()), static(*pair()))

    def test_each_image_has_its_own_gates(self):
        net = self.make(gated=True).eval()
        chosen = []
        net.blocks[0].gate.register_forward_hook(lambda *args: chosen.append(args[2]))
        net(*pair(batch=3))
        assert [tuple(choice.shape) for choice in chosen] == [(3, 1, 1, 1)] * 4

    @pytest.mark.parametrize(("scale", "levels"), [(2, 2), (3, 1), (4, 3), (6, 2), (8, 3)])
    def test_levels_double_up_to_the_full_size(self, scale, levels):
        lr_hsi, hr_msi = pair(scale=scale)
        net = self.make(scale=scale).eval()
        results = net.fuse_levels(lr_hsi, hr_msi)
        sides = [tuple(result.shape[2:]) for result in results]
        steps = [2**level for level in reversed(range(levels))]
        assert sides == [(3 * scale // step, 4 * scale // step) for step in steps]
        torch.testing.assert_close(results[-1], net(lr_hsi, hr_msi))

    @torch.no_grad()
    @pytest.mark.parametrize("scale", [4, 8])
    def test_flow_level_by_level(self, scale):
        net = self.make(scale=scale).eval()
        x, y = pair(scale=scale)
        base = upsample(x, scale, 0.0)
        half, quarter = (F.interpolate(base, scale_factor=f, mode="bicubic") for f in (0.5, 0.25))
        y1 = net.shrink[0](y)
        y0 = net.shrink[1](y1)
        x0 = x if scale == 4 else quarter
        x1 = F.pixel_shuffle(net.enlarge[0][0](x0), 2)
        x2 = F.pixel_shuffle(net.enlarge[1][0](x1), 2)

        f, o = run_block(net.blocks[0], net.embed_hsi[0](x0), net.embed_msi[0](y0))
        out = quarter + o
        for level, (xi, yi, bi) in enumerate(((x1, y1, half), (x2, y, base)), 1):
            rise = net.rise[level - 1]
            u = rise.result[1](F.pixel_shuffle(rise.result[0][0](out), 2))
            up = F.pixel_shuffle(rise.features[1](rise.features[0](f)), 2)
            a = rise.merge[1](rise.merge[0](torch.cat((u, net.embed_hsi[level](xi), up), 1)))
            f, o = run_block(net.blocks[level], a, net.embed_msi[level](yi))
            out = bi + o
        torch.testing.assert_close(net(x, y), out, rtol=1e-4, atol=1e-5)

    @pytest.mark.slow
    def test_learns_one_patch_by_heart(self):
        assert overfit_psnr(self.make(), steps=200, cosine=True) > 45

    @pytest.mark.parametrize(
        ("options", "message"),
        [({"dim": 30}, "multiple of 4, got 30"), ({"recursions": 0}, "at least 1, got 0")],
    )
    def test_options_are_checked(self, options, message):
        with pytest.raises(ValueError, match=message):
            self.make(**options)


def run_block(block, a, b):
    x = block.join(torch.cat((a, b), 1))
    for _ in range(5):
        first, third, fifth = (refine(x) for refine in block.refine)
        x = x + (first + third + fifth) / 3
    return x, block.head(x)


@torch.no_grad()
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_rijak_pixel_by_pixel(kernel):
    torch.manual_seed(0)
    module = RIJAK(4, kernel).double()
    x = torch.randn(1, 4, 5, 6, dtype=torch.float64)

    def filtered(layer, image):
        """A zero-padded correlation, written as loops."""
        reach = layer.kernel_size[0] // 2
        wide = F.pad(image, (reach,) * 4)
        out = torch.empty(1, layer.out_channels, 5, 6, dtype=image.dtype)
        for r in range(5):
            for c in range(6):
                around = wide[0, :, r : r + 2 * reach + 1, c : c + 2 * reach + 1]
                out[0, :, r, c] = (layer.weight * around).sum((1, 2, 3)) + layer.bias
        return out

    deep = filtered(module.body[2], filtered(module.body[0], x).clamp(min=0))
    mixed = filtered(module.weigh[0], torch.cat((x, deep), 1)).clamp(min=0)
    maps = 1 / (1 + torch.exp(-filtered(module.weigh[2], mixed)))
    torch.testing.assert_close(module(x), x * maps[:, :1] + deep * maps[:, 1:])


def test_masks_are_fixed_balanced_and_travel_with_the_weights():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    masks = fixed_masks(32)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(masks, fixed_masks(32))
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert masks.sum(1).tolist() == [8] * 12
    assert masks.sum(0).tolist() == [3] * 32
    assert len(set(map(tuple, masks.tolist()))) == 12
    head = Masksembles(32, 5)
    assert torch.equal(head.state_dict()["masks"], masks)
    assert "masks" not in dict(head.named_parameters())


@torch.no_grad()
def test_ensemble_equals_its_members_one_by_one():
    torch.manual_seed(0)
    head = Masksembles(8, 3)
    x = torch.randn(2, 8, 5, 6)
    features = head.refine[2](head.refine[0](x).clamp(min=0))
    weight, bias = head.predict.weight[:, :, 0, 0], head.predict.bias
    members = torch.stack(
        [
            torch.einsum("ck,bkhw->bchw", weight, features * mask[:, None, None]) + bias[:, None, None]
            for mask in head.masks
        ]
    )
    torch.testing.assert_close(head(x), members.mean(0))
    variance, real, imaginary = head.uncertainty(x).split(3, 1)
    torch.testing.assert_close(variance, members.var(0, correction=0))
    waves = torch.fft.fft2(members) / math.sqrt(30)
    for spread, part in ((real, waves.real), (imaginary, waves.imag)):
        std = (part.var(0, correction=0) + 1e-6).sqrt()
        torch.testing.assert_close(spread, std / (part.mean(0).abs() + std), rtol=1e-4, atol=1e-4)


def gate_with_logits(skip, go):
    gate = Gate(5, 8, level=0, offset=0.1)
    with torch.no_grad():
        gate.logits[-1].weight.zero_()
        gate.logits[-1].bias.copy_(torch.tensor([skip, go]))
    return gate


def test_gate_draws_with_the_probabilities_of_its_logits_in_training():
    gate = gate_with_logits(0.1, math.log(3))
    torch.manual_seed(0)
    drawn = gate(torch.rand(4000, 8, 2, 2), torch.rand(4000, 15, 2, 2))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    # The offset takes the 0.1 of skipping away: 1 to 3.
    assert drawn.mean().item() == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(("go", "expected"), [(0.05, 1.0), (-0.05, 0.0)])
def test_gate_takes_the_likelier_choice_in_evaluation(go, expected):
    gate = gate_with_logits(0.1, go).eval()
    assert (gate(torch.rand(3, 8, 4, 4), torch.rand(3, 15, 4, 4)) == expected).all()


def test_gate_sees_its_input_in_training():
    torch.manual_seed(0)
    gate = Gate(5, 8, level=1, offset=0.1)
    x = torch.rand(2, 8, 4, 4, requires_grad=True)
    uncertainty = torch.rand(2, 15, 4, 4, requires_grad=True)
    gate(x, uncertainty).sum().backward()
    assert x.grad.any()
    assert uncertainty.grad.any()
