"""The spatial branch."""

import torch
import torch.nn.functional as F
from torch import Tensor

from cofusion.models.cofusion.spacam import DILATIONS, SpaCAM


def by_equations(spacam: SpaCAM, f_spa: Tensor) -> Tensor:
    """Equations 2 and 3, one dilation after another, with the weights of the grouped convolutions cut out."""
    dim = f_spa.shape[1]
    p = F.max_pool2d(f_spa, 3, stride=1, padding=1)

    def part(layer, j):
        return layer.weight[j * dim : (j + 1) * dim], layer.bias[j * dim : (j + 1) * dim]

    d = [
        F.conv2d(
            F.conv2d(
                p, spacam.contexts[j].weight, spacam.contexts[j].bias, padding=r, dilation=r, groups=dim
            ),
            *part(spacam.mix_contexts, j),
        )
        for j, r in enumerate(DILATIONS)
    ]
    gates = torch.softmax(torch.stack(d), 0)
    mix, depthwise, _ = spacam.values
    gsb = []
    for j, gate in enumerate(gates):
        value = F.conv2d(F.conv2d(f_spa, *part(mix, j)), *part(depthwise, j), padding=1, groups=dim)
        gsb.append(gate * F.gelu(value) + f_spa)
    return f_spa + 0.1 * F.conv2d(torch.cat(gsb, 1), spacam.merge.weight, spacam.merge.bias, padding=1)


def test_blocks_side_by_side_equal_the_equations_one_by_one():
    torch.manual_seed(0)
    spacam = SpaCAM(8).double()
    f_spa = torch.randn(2, 8, 9, 7, dtype=torch.float64)
    torch.testing.assert_close(spacam(f_spa), by_equations(spacam, f_spa), rtol=1e-12, atol=1e-12)


def test_gates_add_up_to_one_at_every_pixel_and_channel():
    d = torch.randn(2, 3 * 8, 5, 4) * 50
    gate = SpaCAM(8).gate(d)
    assert gate.shape == (2, 5, 4, 3, 8)
    torch.testing.assert_close(gate.sum(3), torch.ones(2, 5, 4, 8))
    torch.testing.assert_close(gate[:, :, :, 1, 2], d.unflatten(1, (3, 8))[:, :, 2].softmax(1)[:, 1])


def test_answer_away_from_the_border_does_not_depend_on_the_image_size():
    torch.manual_seed(0)
    spacam = SpaCAM(8).eval()
    f_spa = torch.rand(1, 8, 48, 48)
    whole = spacam(f_spa)[..., 16:32, 16:32]
    tile = spacam(f_spa[..., 8:40, 8:40])[..., 8:24, 8:24]
    torch.testing.assert_close(whole, tile)
