"""3DT-Net against its formula and literal versions of its operators."""

import pytest
import torch
import torch.nn.functional as F

from cofusion.models.deep import ThreeDTNet
from cofusion.models.deep.swin import SwinLayer, shift_mask
from cofusion.models.deep.three_dt_net import Prior, SeparableConv3d
from models.deep.base import InterpolatingNetworkTests, pair


class TestThreeDTNet(InterpolatingNetworkTests):
    network = ThreeDTNet
    # The published totals less 11 numbers that the published code declares and never uses.
    parameters = (3_463_536 - 11, 6_888_703 - 11, 8_895_148 - 11, 8_897_453 - 11)
    multiple = 8

    def test_memories_reach_later_rounds(self):
        net = self.make().eval()
        memories, features, mixed = [], [], {}
        net.prior.register_forward_hook(lambda *args: memories.append(args[2][1]))
        net.embed.register_forward_hook(lambda *args: features.append(args[2]))
        for name in ("mix_v", "mix_o"):
            for index, layer in enumerate(getattr(net, name)):
                layer.register_forward_hook(lambda *args, key=(name, index): mixed.update({key: args[1][0]}))
        net(*pair())
        # The prior, and the features before it, alternate between v and o.
        expected = {
            ("mix_v", 0): (features[2], memories[0]),
            ("mix_v", 1): (features[4], memories[0], memories[2]),
            ("mix_o", 0): (features[1], memories[0]),
            ("mix_o", 1): (features[3], memories[2]),
            ("mix_o", 2): (features[5], memories[4]),
        }
        assert len(memories) == len(features) == 6
        assert mixed.keys() == expected.keys()
        for key, parts in expected.items():
            assert torch.equal(mixed[key], torch.cat(parts, 1))

    def test_drop_path_grows_from_the_first_layer(self):
        probabilities = [layer.drop_path for layer in self.make(drop_path=0.1).prior.body.layers]
        assert probabilities == pytest.approx([0, 0.02, 0.04, 0.06, 0.08, 0.1])

    def test_drop_path_is_checked(self):
        with pytest.raises(ValueError, match=r"got 1\.0"):
            self.make(drop_path=1.0)


def unfold(x, lr, y, taps, change, sign, sampled):
    """The three rounds for one pixel of images that do not vary, in ordinary numbers."""
    down, up, response, unresponse = taps
    d0, e0, d3, e3 = 0.1, 0.9, 0.2, 0.7
    for k in (1, 2, 3):
        z = x
        v = change + z
        z = (1 - d0 - d0 * e0) * z + d0 * unresponse * (y - response * z) + d0 * (x + sign * e0 * v)
        o = change + z
        if k < 3:
            back = up * (down * x - lr) if sampled else 0.0
            x = (1 - d3 * e3) * x + d3 * unresponse * (y - response * x) + d3 * back + d3 * e3 * o
    return o


@torch.no_grad()
@pytest.mark.parametrize(("subtract_v", "sign"), [(True, -1), (False, 1)])
@pytest.mark.parametrize("scale", [2, 4])
def test_unfolding_formula(scale, subtract_v, sign):
    net = ThreeDTNet(1, 1, scale, subtract_v=subtract_v).double().eval()
    taps = (0.8, 1.3, 0.6, 1.7)
    for layer, tap in zip((net.down, net.up, net.response, net.unresponse), taps, strict=True):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        # A filter's middle lies on the pixel that phase 0 samples.
        middle = layer.weight.shape[-1] // 2
        layer.weight[0, 0, middle, middle] = tap
    net.prior.volume.spectral.parametrizations.weight.original0.zero_()
    torch.nn.init.constant_(net.prior.volume.spectral.bias, 0.05)
    net.step_x.fill_(0.2)
    net.weight_o.fill_(0.7)

    lr_hsi = torch.full((1, 1, 4, 4), 0.5, dtype=torch.float64)
    hr_msi = torch.full((1, 1, 4 * scale, 4 * scale), 0.3, dtype=torch.float64)
    fused = net(lr_hsi, hr_msi)[0, 0]
    sampled = torch.zeros_like(fused, dtype=torch.bool)
    sampled[::scale, ::scale] = True
    for place in (True, False):
        expected = unfold(0.5, 0.5, 0.3, taps, 0.05, sign, place)
        # The numbers start as float32.
        assert fused[sampled == place].numpy() == pytest.approx(expected, abs=1e-6)


@torch.no_grad()
def test_separable_conv_equals_two_convolutions_of_the_volume():
    torch.manual_seed(0)
    layer = SeparableConv3d(7)
    cube = torch.randn(2, 5, 6, 4)
    spatial, spectral = layer.spatial, layer.spectral
    volume = F.relu(F.conv3d(cube[:, None], spatial.weight.unsqueeze(2), spatial.bias, padding=(0, 1, 1)))
    volume = F.conv3d(volume, spectral.weight[..., None, None], spectral.bias, padding=(1, 0, 0))
    torch.testing.assert_close(layer(cube), volume[:, 0])


@torch.no_grad()
def test_prior_step_by_step():
    torch.manual_seed(0)
    prior = Prior(5, drop_path=0.1).eval()
    features = torch.randn(1, 64, 16, 8)
    memory = prior.memorise(features)
    wide = prior.widen(memory)
    body = prior.body
    start = body.norm1(wide.movedim(1, 3))
    tokens = start
    for index, layer in enumerate(body.layers):
        assert layer.shift == (0, 4)[index % 2]
        tokens = layer(tokens, shift_mask(tokens, 8, 4))
    tokens = start + body.conv1(tokens.movedim(3, 1)).movedim(1, 3)
    deep = wide + body.conv2(body.norm2(tokens).movedim(3, 1))
    change = prior.volume(prior.narrow(deep).clamp(min=0))
    ours = prior(features)
    torch.testing.assert_close(ours[0], change, rtol=1e-4, atol=1e-5)
    assert torch.equal(ours[1], memory)


def attend_by_pixel(layer, x):
    """Shifted-window attention as its definition on the plane: who shares a cell of the moved grid."""
    rows, cols, dim = x.shape
    window, shift, heads = layer.window, layer.shift, layer.heads
    q, k, v = layer.qkv(x).split(dim, 2)
    places = [(r, c) for r in range(rows) for c in range(cols)]
    cell = {(r, c): ((r - shift) // window, (c - shift) // window) for r, c in places}
    out = torch.zeros_like(x)
    for r, c in places:
        partners = [place for place in places if cell[place] == cell[r, c]]
        at = tuple(torch.tensor(partners).T)
        bias = layer.position_bias[
            [(r - i + window - 1) * (2 * window - 1) + c - j + window - 1 for i, j in partners]
        ]
        for head, channels in enumerate(torch.arange(dim).chunk(heads)):
            logits = k[at][:, channels] @ q[r, c, channels] * len(channels) ** -0.5 + bias[:, head]
            out[r, c, channels] = logits.softmax(0) @ v[at][:, channels]
    return layer.proj(out)


@torch.no_grad()
@pytest.mark.parametrize(("rows", "cols"), [(8, 12), (4, 4)])
@pytest.mark.parametrize("shift", [0, 2])
def test_swin_layer_equals_its_definition_on_the_plane(shift, rows, cols):
    torch.manual_seed(0)
    layer = SwinLayer(8, heads=2, window=4, shift=shift, drop_path=0.0).double()
    torch.nn.init.normal_(layer.position_bias)
    torch.nn.init.normal_(layer.qkv.weight)
    x = torch.randn(2, rows, cols, 8, dtype=torch.float64)
    expected = []
    for image in x:
        image = image + attend_by_pixel(layer, F.layer_norm(image, (8,)))
        hidden = F.gelu(layer.mlp[0](F.layer_norm(image, (8,))))
        expected.append(image + layer.mlp[2](hidden))
    torch.testing.assert_close(layer(x, shift_mask(x, 4, shift)), torch.stack(expected))


def test_drop_path_leaves_out_branches_of_whole_images_in_training():
    layer = SwinLayer(8, heads=2, window=4, shift=0, drop_path=0.2)
    for linear, value in ((layer.proj, 1.0), (layer.mlp[2], 10.0)):
        torch.nn.init.zeros_(linear.weight)
        torch.nn.init.constant_(linear.bias, value)
    torch.manual_seed(0)
    x = torch.zeros(2000, 4, 4, 8)
    mask = shift_mask(x, 4, 0)
    added = layer(x, mask)
    assert torch.equal(added, added[:, :1, :1, :1].expand_as(added))
    assert set(added[:, 0, 0, 0].tolist()) == {0.0, 1.25, 12.5, 13.75}
    assert added.mean().item() == pytest.approx(11, rel=0.05)
    assert (layer.eval()(x[:2], mask[:2]) == 11).all()
