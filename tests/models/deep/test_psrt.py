"""PSRT against literal versions of its operators."""

import pytest
import torch
import torch.nn.functional as F

from cofusion.models.deep import PSRT
from cofusion.models.deep.psrt import W2W, WindowAttention, reshuffle, shuffle
from cofusion.sensors import upsample
from models.deep.base import InterpolatingNetworkTests, pair


class TestPSRT(InterpolatingNetworkTests):
    network = PSRT
    parameters = (247_455, 289_287, 303_424, 303_712)
    multiple = 8

    @pytest.mark.parametrize(("final_activation", "residual"), [(True, -0.2), (False, -1.0)])
    def test_final_activation_acts_on_the_residual_alone(self, final_activation, residual):
        net = self.make(final_activation=final_activation)
        torch.nn.init.zeros_(net.head.weight)
        torch.nn.init.constant_(net.head.bias, -1.0)
        lr_hsi, hr_msi = pair()
        expected = upsample(lr_hsi, 4, 0.0) + residual
        torch.testing.assert_close(net(lr_hsi, hr_msi), expected)

    def test_heads_are_checked(self):
        with pytest.raises(ValueError, match="got dim 30 and heads 8"):
            self.make(dim=30)


def shuffle_by_index(x, cell):
    rows, cols = x.shape[1] // cell, x.shape[2] // cell
    out = torch.empty_like(x)
    for row in range(rows):
        for col in range(cols):
            to_row = row // 2 + (row % 2) * rows // 2
            to_col = col // 2 + (col % 2) * cols // 2
            for r in range(cell):
                for c in range(cell):
                    out[:, to_row * cell + r, to_col * cell + c] = x[:, row * cell + r, col * cell + c]
    return out


@pytest.mark.parametrize("cell", [1, 2, 4])
def test_shuffle_equals_the_loop_and_reshuffle_undoes_it(cell):
    x = torch.arange(2.0 * 16 * 24 * 3).view(2, 16, 24, 3)
    shuffled = shuffle(x, cell)
    assert torch.equal(shuffled, shuffle_by_index(x, cell))
    assert torch.equal(reshuffle(shuffled, cell), x)


def test_even_even_cells_go_to_the_top_left():
    x = torch.tensor([[0.0, 1.0, 0.0, 1.0], [2.0, 3.0, 2.0, 3.0]] * 2)[None, :, :, None]
    quadrants = shuffle(x, 1)[0, :, :, 0].tolist()
    assert quadrants == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]


def attend_by_loop(layer, tokens, heads, scale):
    """One window `(tokens, D)`, one head and one query at a time."""
    dim = tokens.shape[1]
    q, k, v = layer.qkv(F.layer_norm(tokens, (dim,))).split(dim, 1)
    out = torch.zeros_like(tokens)
    for channels in torch.arange(dim).chunk(heads):
        for i in range(len(tokens)):
            logits = torch.stack([(q[i, channels] * key).sum() * scale for key in k[:, channels]])
            out[i, channels] = (logits.exp() / logits.exp().sum()) @ v[:, channels]
    x = tokens + layer.proj(out)
    return x + layer.mlp[2](F.gelu(layer.mlp[0](F.layer_norm(x, (dim,)))))


@torch.no_grad()
@pytest.mark.parametrize(("attention_scale", "factor"), [(4.0, 4.0), (None, 0.5)])
def test_w2w_equals_the_loop(attention_scale, factor):
    torch.manual_seed(0)
    window = 4
    block = W2W(8, 2, window, attention_scale).double()
    x = torch.randn(1, 8, 12, 8, dtype=torch.float64)

    def inside_windows(layer, image):
        out = torch.empty_like(image)
        for r in range(0, 8, window):
            for c in range(0, 12, window):
                tokens = image[0, r : r + window, c : c + window].reshape(-1, 8)
                attended = attend_by_loop(layer, tokens, 2, factor)
                out[0, r : r + window, c : c + window] = attended.view(window, window, 8)
        return out

    first, second, third = block.attentions
    shuffled = shuffle_by_index(inside_windows(first, x), window // 2)
    back = reshuffle(inside_windows(second, shuffled), window // 2)
    torch.testing.assert_close(block(x), x + inside_windows(third, back))


def test_attention_scale_reaches_the_network():
    layers = [m for m in PSRT(5, 3, 4).modules() if isinstance(m, WindowAttention)]
    assert len(layers) == 2 * 3 * 3
    assert {layer.attention_scale for layer in layers} == {4.0}
    layers = [m for m in PSRT(5, 3, 4, attention_scale=None).modules() if isinstance(m, WindowAttention)]
    assert {layer.attention_scale for layer in layers} == {None}
