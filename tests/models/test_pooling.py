"""Pooled statistics, whole or in windows."""

import pytest
import torch

from cofusion import CoFusion
from cofusion.models.cofusion.pooling import per_position, pool_max, spread
from command import SHALLOW


def test_windows_by_a_loop():
    f = torch.randn(1, 2, 11, 18)
    pooled = pool_max(f, extent=8)
    assert pooled.shape == (1, 2, 4, 6)
    for i in range(4):
        for j in range(6):
            rows = slice(max(0, 4 * i - 4), 4 * i + 4)
            cols = slice(max(0, 4 * j - 4), 4 * j + 4)
            assert torch.equal(pooled[..., i, j], f[..., rows, cols].amax((2, 3)))


def test_whole_image_is_one_window():
    f = torch.randn(2, 3, 5, 4)
    assert torch.equal(pool_max(f, None), f.amax((2, 3), keepdim=True))


def test_weights_return_to_where_their_windows_are():
    """Weights that are a plane in the windows' centres are that plane in the pixels' centres."""
    rows, cols = torch.arange(4.0)[:, None] * 4, torch.arange(6.0) * 4
    weights = (2 * rows + 3 * cols)[None, None]
    like = torch.zeros(1, 1, 11, 18)
    plane = 2 * (torch.arange(11.0)[:, None] + 0.5) + 3 * (torch.arange(18.0) + 0.5)
    torch.testing.assert_close(spread(weights, 8, like)[0, 0], plane)


def test_function_sees_channel_vectors():
    v = torch.randn(2, 3, 4, 5)
    doubled = per_position(lambda x: torch.cat((x, x), 1), v)
    assert torch.equal(doubled, torch.cat((v, v), 1))


def network(**kwargs):
    torch.manual_seed(0)
    net = CoFusion(4, 3, 4, dim=8, **SHALLOW, **kwargs).eval()
    # Large weights make the pooled statistics matter.
    for name, parameter in net.named_parameters():
        if "sse" in name or "scm" in name:
            parameter.data *= 3
    return net


def test_tiles_agree_with_the_whole_image_when_pooled_in_windows():
    lr_hsi, hr_msi = torch.rand(1, 4, 96, 10), torch.rand(1, 3, 384, 40)
    # Something bright far from where the two are compared.
    lr_hsi[..., :8, :] *= 5
    hr_msi[..., :32, :] *= 5

    def difference(net):
        whole = net(lr_hsi, hr_msi)
        # The tile's corner lies on a multiple of half an extent; 128 pixels at its border are discarded.
        tile = net(lr_hsi[..., 32:, :], hr_msi[..., 128:, :])
        return (tile[..., 128:, :] - whole[..., 256:, :]).abs().max().item()

    assert difference(network(pool_extent=32)) < 1e-6
    assert difference(network()) > 1e-4


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (7, 5), (9, 33)])
def test_any_size_in_windows(rows, cols):
    net = network(pool_extent=16)
    fused = net(torch.rand(2, 4, rows, cols), torch.rand(2, 3, 4 * rows, 4 * cols))
    assert fused.shape == (2, 4, 4 * rows, 4 * cols)
    assert fused.isfinite().all()


@pytest.mark.parametrize("extent", [0, 8, 40])
def test_extent_is_checked(extent):
    with pytest.raises(ValueError, match=f"multiple of 16, got {extent}"):
        network(pool_extent=extent)


def test_windows_can_be_switched_on_and_off():
    net = network()
    pair = torch.rand(1, 4, 16, 16), torch.rand(1, 3, 64, 64)
    whole = net(*pair)
    net.pool_within(32)
    assert not torch.equal(net(*pair), whole)
    net.pool_within(None)
    assert torch.equal(net(*pair), whole)
