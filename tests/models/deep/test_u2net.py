"""U2Net against literal versions of its operators."""

import pytest
import torch
import torch.nn.functional as F

from cofusion.models.deep import U2Net
from cofusion.models.deep.u2net import HEAD_DIM, S2Block
from models.deep.base import FusionNetworkTests, pair


class TestU2Net(FusionNetworkTests):
    network = U2Net
    parameters = (679_263, 2_110_407, 2_956_144, 2_956_432)
    multiple = 4

    def test_residual_is_added_to_the_learned_upsampling(self):
        net = self.make()
        torch.nn.init.zeros_(net.head[-1].weight)
        torch.nn.init.zeros_(net.head[-1].bias)
        lr_hsi, hr_msi = pair(rows=4)
        filtered = F.conv2d(lr_hsi, net.upsampler[0].weight, padding=1)
        # Band b of block position (r, c) comes from channel 16 b + 4 r + c.
        expected = torch.empty(1, 5, 16, 16)
        for r in range(4):
            for c in range(4):
                expected[:, :, r::4, c::4] = filtered[:, 4 * r + c :: 16]
        torch.testing.assert_close(net(lr_hsi, hr_msi), expected)

    def test_streams_can_have_layers_of_their_own(self):
        net = self.make(shared_weights=False)
        shared = sum(p.numel() for p in self.make().parameters())
        down = 6_880 + 26_048
        up = 69_760 + 17_472
        assert sum(p.numel() for p in net.parameters()) == shared + down + up
        net(*pair()).square().mean().backward()
        assert all(p.grad is not None and p.grad.any() for p in net.parameters())

    @torch.no_grad()
    @pytest.mark.parametrize("shared_weights", [True, False])
    def test_flow_level_by_level(self, shared_weights):
        net = self.make(shared_weights=shared_weights)
        down_x0, down_x1, down_y0, down_y1 = [*net.downs, *net.downs][:4]
        up_x0, up_x1, up_y0, up_y1 = [*net.ups, *net.ups][:4]
        lr_hsi, hr_msi = pair(rows=4)
        base = net.upsampler(lr_hsi)
        x, y = F.leaky_relu(net.embed_hsi[0](base), 0.01), F.leaky_relu(net.embed_msi[0](hr_msi), 0.01)
        skip_x0, skip_y0 = net.s2[0](x, y), net.res[0](y)
        x, y = down_x0(skip_x0), down_y0(skip_y0)
        skip_x1, skip_y1 = net.s2[1](x, y), net.res[1](y)
        x, y = down_x1(skip_x1), down_y1(skip_y1)
        x, y = up_x0(net.s2[2](x, y), skip_x1), up_y0(net.res[2](y), skip_y1)
        x, y = up_x1(net.s2[3](x, y), skip_x0), up_y1(net.res[3](y), skip_y0)
        expected = base + net.head(net.s2[4](x, y))
        torch.testing.assert_close(net(lr_hsi, hr_msi), expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("dim", [8, 40])
    def test_width_is_checked(self, dim):
        with pytest.raises(ValueError, match=f"multiple of 16, got {dim}"):
            self.make(dim=dim)


def integrate_by_loop(block, x, y):
    """Tokens `(n, D)` of one image, one head at a time, with both maps written out."""
    n, dim = x.shape
    weights = {"x": block.maps_x.weight, "y": block.maps_y.weight}
    x1, x2 = (x @ weights["x"][i * dim : (i + 1) * dim].T for i in range(2))
    y1, y2 = (y @ weights["y"][i * dim : (i + 1) * dim].T for i in range(2))
    heads = []
    for channels in torch.arange(dim).split(HEAD_DIM):
        pixels = torch.einsum("ic,jc->ij", y1[:, channels], y2[:, channels]) * 16**-0.5
        bands = torch.einsum("ic,id->cd", x1[:, channels], x2[:, channels]) * 16**-0.5 / (n / 16)
        spatial = torch.softmax(pixels, 1) @ x1[:, channels]
        spectral = y1[:, channels] @ torch.softmax(bands, 1)
        heads.append(spatial * spectral)
    return torch.cat(heads, 1)


@torch.no_grad()
def test_s2_block_equals_the_loop():
    torch.manual_seed(0)
    block = S2Block(32).double()
    torch.nn.init.normal_(block.norm.weight)
    # Large weights, so that neither softmax is near its mean.
    for maps in (block.maps_x, block.maps_y):
        torch.nn.init.normal_(maps.weight, std=0.5)
    x, y = (torch.randn(2, 32, 5, 6, dtype=torch.float64) for _ in range(2))
    expected = []
    for image_x, image_y in zip(x, y, strict=True):
        tokens, guide = image_x.reshape(32, -1).T, image_y.reshape(32, -1).T
        integrated = integrate_by_loop(block, block.norm(tokens), block.norm(guide))
        tokens = tokens + block.proj(integrated)
        hidden = F.leaky_relu(block.mlp[0](F.layer_norm(tokens, (32,))), 0.01)
        expected.append((tokens + block.mlp[2](hidden)).T.reshape(32, 5, 6))
    torch.testing.assert_close(block(x, y), torch.stack(expected))
    memory = {"memory_format": torch.channels_last}
    torch.testing.assert_close(block(x.contiguous(**memory), y.contiguous(**memory)), torch.stack(expected))
