"""PIF-Net against literal versions of its operators."""

import pytest
import torch
import torch.nn.functional as F

from cofusion.models.deep import PIFNet, selective_scan
from cofusion.models.deep.deform import deform_conv
from cofusion.models.deep.pif_net import AlignmentBlock, Coupling, SpatialBlock, haar, unhaar
from cofusion.models.deep.vmamba import VMamba, from_sequences, to_sequences
from cofusion.sensors import upsample
from models.deep.base import InterpolatingNetworkTests, pair
from models.deep.overfit import overfit_psnr


class TestPIFNet(InterpolatingNetworkTests):
    network = PIFNet
    parameters = (1_394_967, 1_606_935, 1_701_584, 1_702_160)
    multiple = 2

    def make(self, *args, **options):
        net = super().make(*args, **options)
        # These start at 0, and what lies before them would receive no gradient.
        for block in net.spatial:
            torch.nn.init.normal_(block.branch[1].weight, std=0.1)
        return net

    def test_the_prior_enters_through_a_branch_that_starts_at_zero(self):
        block = PIFNet(5, 3, 4).spatial[0]
        assert not block.branch[1].weight.any()

    def test_width_is_checked(self):
        with pytest.raises(ValueError, match="multiple of 4, got 6"):
            self.make(dim=6)

    @torch.no_grad()
    def test_nothing_is_added_to_the_head(self):
        net = self.make(dim=8)
        torch.nn.init.zeros_(net.head[-1].weight)
        torch.nn.init.constant_(net.head[-1].bias, 0.25)
        assert torch.equal(net(*pair()), torch.full((1, 5, 12, 16), 0.25))

    @torch.no_grad()
    def test_flow_part_by_part(self):
        net = self.make(dim=8)
        lr_hsi, hr_msi = pair(rows=4)
        hsi, msi = net.embed_hsi(upsample(lr_hsi, 4, 0.0)), net.embed_msi(hr_msi)
        prior = torch.relu(net.prior(hsi - msi))
        low, high = haar(hsi)
        high = net.narrow(high)
        for block in net.couplings:
            high = high + block.phi(low)
            low = low * torch.exp(block.rho(high)) + block.eta(high)
        features = unhaar(low, net.widen(high))
        for index in range(4):
            features = net.align[index](net.spatial[index](features, prior))
        expected = net.head(torch.cat((features, msi), 1))
        torch.testing.assert_close(net(lr_hsi, hr_msi), expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.slow
    def test_learns_one_scene_by_heart(self):
        torch.manual_seed(0)
        # The head's hidden layer is as wide as the HSI has bands. Of 5, ReLUs that die leave too few to make
        # four spectra of; hence 31, as CAVE has.
        assert overfit_psnr(PIFNet(31, 3, 4, dim=16), steps=1000, lr=4e-3, cosine=True, size=8) > 45


def test_haar_equals_the_loop_and_unhaar_undoes_it():
    x = torch.rand(2, 3, 4, 6, dtype=torch.float64)
    low, high = haar(x)
    assert high.shape == (2, 9, 2, 3)
    for r in range(2):
        for c in range(3):
            (a, right), (b, both) = (x[:, :, 2 * r + i, 2 * c : 2 * c + 2].unbind(2) for i in range(2))
            torch.testing.assert_close(low[:, :, r, c], (a + b + right + both) / 2)
            torch.testing.assert_close(high[:, :3, r, c], (right + both - a - b) / 2)
            torch.testing.assert_close(high[:, 3:6, r, c], (b + both - a - right) / 2)
            torch.testing.assert_close(high[:, 6:, r, c], (a + both - b - right) / 2)
    torch.testing.assert_close(unhaar(low, high), x)


def scan_arguments(length=7):
    torch.manual_seed(0)
    x, delta = torch.randn(2, length, 3), torch.rand(2, length, 3)
    a, b, c = -torch.rand(3, 4), torch.randn(2, length, 4), torch.randn(2, length, 4)
    return [t.double().requires_grad_() for t in (x, delta, a, b, c)]


def scan_by_loop(x, delta, a, b, c):
    rows = []
    for image in range(len(x)):
        for channel in range(x.shape[2]):
            state = torch.zeros(a.shape[1], dtype=x.dtype)
            for t in range(x.shape[1]):
                step = delta[image, t, channel]
                state = torch.exp(step * a[channel]) * state + step * x[image, t, channel] * b[image, t]
                rows.append((state * c[image, t]).sum())
    return torch.stack(rows).view(len(x), x.shape[2], x.shape[1]).transpose(1, 2)


@pytest.mark.parametrize("positions", [1, 2, 3, 7, 100])
def test_scan_equals_the_loop_and_so_do_its_gradients(positions, monkeypatch):
    monkeypatch.setitem(selective_scan.NUMBERS, "cpu", positions * 2 * 3 * 4)
    arguments = scan_arguments()
    ours, theirs = selective_scan.selective_scan(*arguments), scan_by_loop(*arguments)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn_like(ours)
    gradients = [torch.autograd.grad((y * weights).sum(), arguments) for y in (ours, theirs)]
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected)


def test_sequences_go_along_rows_and_columns_and_back():
    image = torch.arange(6.0).view(1, 1, 2, 3)
    sequences = to_sequences(image)[0].T.tolist()
    assert sequences == [[0, 1, 2, 3, 4, 5], [0, 3, 1, 4, 2, 5], [5, 4, 3, 2, 1, 0], [5, 2, 4, 1, 3, 0]]
    assert torch.equal(from_sequences(to_sequences(image), 2, 3), 4 * image)


@torch.no_grad()
def test_vmamba_equals_the_loop():
    torch.manual_seed(0)
    layer = VMamba(4).double()
    for p in (layer.skip, layer.norm.weight, layer.norm.bias):
        torch.nn.init.normal_(p)
    x = torch.randn(1, 4, 3, 2, dtype=torch.float64)
    inner = torch.einsum("bdhw,ed->behw", x, layer.enter.weight) + layer.enter.bias[:, None, None]
    values, gate = inner[:, :8], inner[:, 8:]
    values = F.conv2d(values, layer.conv.weight, layer.conv.bias, padding=1, groups=8)
    values = values * torch.sigmoid(values)
    by_row = [(r, c) for r in range(3) for c in range(2)]
    by_col = [(r, c) for c in range(2) for r in range(3)]
    orders = (by_row, by_col, by_row[::-1], by_col[::-1])
    sequence = torch.stack([torch.cat([values[0, :, *o[t]] for o in orders]) for t in range(6)])[None]
    gates = sequence @ layer.gates.weight.T
    delta = torch.log1p(torch.exp(gates[..., :1] @ layer.step.weight.T + layer.step.bias))
    scanned = scan_by_loop(sequence, delta, -layer.log_rate.exp(), gates[..., 1:17], gates[..., 17:])
    scanned = scanned + layer.skip * sequence
    mixed = torch.zeros(1, 8, 3, 2, dtype=torch.float64)
    for direction, order in enumerate(orders):
        for t, place in enumerate(order):
            mixed[0, :, *place] += scanned[0, t, 8 * direction : 8 * direction + 8]
    normal = F.layer_norm(mixed.permute(0, 2, 3, 1), (8,), layer.norm.weight, layer.norm.bias)
    gated = normal * (gate * torch.sigmoid(gate)).permute(0, 2, 3, 1)
    torch.testing.assert_close(layer(x), (gated @ layer.leave.weight.T).permute(0, 3, 1, 2))


@torch.no_grad()
def test_coupling_can_be_inverted():
    torch.manual_seed(0)
    block = Coupling(4).double()
    low, high = torch.randn(2, 1, 4, 3, 5, dtype=torch.float64)
    new_low, new_high = block(low, high)
    assert not torch.allclose(new_low, low)
    old_low = (new_low - block.eta(new_high)) * torch.exp(-block.rho(new_high))
    torch.testing.assert_close(old_low, low)
    torch.testing.assert_close(new_high - block.phi(old_low), high)


def at(image, row, col):
    """The value between pixels, linearly; 0 beyond the border."""
    total = torch.zeros(len(image), dtype=image.dtype)
    for r in range(image.shape[1]):
        for c in range(image.shape[2]):
            weight = max(0.0, 1 - abs(row - r)) * max(0.0, 1 - abs(col - c))
            total += weight * image[:, r, c]
    return total


@torch.no_grad()
@pytest.mark.parametrize(("rows", "cols"), [(4, 5), (1, 1)])
def test_deformable_convolution_equals_the_loop(rows, cols):
    torch.manual_seed(0)
    x, offsets = torch.randn(2, 2, rows, cols), 2 * torch.randn(2, 18, rows, cols)
    weight, bias = torch.randn(3, 2, 3, 3), torch.randn(3)
    expected = torch.empty(2, 3, rows, cols)
    for image in range(2):
        for r in range(rows):
            for c in range(cols):
                value = bias.clone()
                for k in range(9):
                    down, right = offsets[image, 2 * k : 2 * k + 2, r, c].tolist()
                    taken = at(x[image], r + k // 3 - 1 + down, c + k % 3 - 1 + right)
                    value += weight[:, :, k // 3, k % 3] @ taken
                expected[image, :, r, c] = value
    torch.testing.assert_close(deform_conv(x, offsets, weight, bias), expected, rtol=1e-4, atol=1e-5)


def test_unmoved_deformable_convolution_is_a_convolution():
    x, weight, bias = torch.rand(1, 2, 6, 5), torch.rand(3, 2, 3, 3), torch.rand(3)
    still = torch.zeros(1, 18, 6, 5)
    torch.testing.assert_close(deform_conv(x, still, weight, bias), F.conv2d(x, weight, bias, padding=1))


@torch.no_grad()
def test_blocks_at_full_resolution_follow_the_text():
    torch.manual_seed(0)
    spatial, align = SpatialBlock(8), AlignmentBlock(8)
    torch.nn.init.normal_(spatial.branch[1].weight)
    x, prior = torch.randn(2, 1, 8, 6, 5)
    kernels, weigh = spatial.large_kernel, spatial.channels

    def large(z):
        return z * kernels[2](kernels[1](kernels[0](z)))

    def weighed(z):
        means = z.mean((2, 3), keepdim=True)
        return z * torch.sigmoid(weigh[3](torch.relu(weigh[1](means))))

    inner = spatial.enter(x)
    inner = spatial.between[1](spatial.between[0](large(inner) + weighed(inner)))
    inner = large(inner) + weighed(inner + prior) + 0.1 * spatial.branch[1](spatial.branch[0](prior))
    torch.testing.assert_close(spatial(x, prior), x + spatial.leave(inner))

    def deform(layer, z):
        return deform_conv(z, layer.offsets(z), layer.conv.weight, layer.conv.bias)

    torch.testing.assert_close(align(x), deform(align.second, deform(align.first, x).relu()))
