"""Spectral coordinate mixing against the literal loop of Algorithm 1."""

import pytest
import torch
from torch import Tensor

from cofusion.models.cofusion.specam import SCM, SpeCAM, mix_coordinates, top_columns


def mix_by_loop(m: Tensor, z0: Tensor) -> Tensor:
    """Algorithm 1, lines 7 to 10, with equation 4 entry by entry."""
    images = []
    for matrix in m:
        z = list(z0)
        for k in range(matrix.shape[1]):
            for c in range(matrix.shape[0]):
                if matrix[c, k] != 0:
                    z[c] = matrix[c, k]
        images.append(torch.stack(z))
    return torch.stack(images)


def maps() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    dense = torch.rand(2, 6, 5, generator=generator) + 0.1
    first, last = dense.clone(), dense.clone()
    first[:, :, 0] = 0
    last[:, :, -1] = 0
    return {
        "sparse": dense * (dense > 0.8),
        "dense": dense,
        "empty": torch.zeros(2, 6, 5),
        "zeros in the first column": first,
        "zeros in the last column": last,
        "one column": (dense * (dense > 0.5))[:, :, :1],
        "as many columns as channels": torch.rand(1, 4, 4, generator=generator).round(),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", maps())
def test_mixing_equals_the_loop_in_values_and_gradients(name, dtype):
    m = maps()[name].to(dtype)
    z0 = torch.linspace(-1, 1, m.shape[1], dtype=dtype)
    results = []
    for mix in (mix_coordinates, mix_by_loop):
        inputs = m.clone().requires_grad_(), z0.clone().requires_grad_()
        z = mix(*inputs)
        (z * torch.arange(1.0, z.numel() + 1).view_as(z)).sum().backward()
        grads = [x.grad if x.grad is not None else torch.zeros_like(x) for x in inputs]
        results.append((z.detach(), *grads))
    for ours, literal in zip(*results, strict=True):
        assert torch.equal(ours, literal)


@pytest.mark.parametrize("coordinates", [1, 3, 6])
def test_gradients_of_the_operator_are_those_of_finite_differences(coordinates):
    """Algorithm 1, lines 3 to 11, in float64; zeros stay zeros within the step of the differences."""
    torch.manual_seed(0)
    scm = SCM(6, coordinates).double()
    torch.nn.init.normal_(scm.z0)
    v = torch.randn(2, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(scm, v)
    parameters = dict(scm.named_parameters())

    def by_parameters(*values):
        return torch.func.functional_call(scm, dict(zip(parameters, values, strict=True)), v)

    assert torch.autograd.gradcheck(by_parameters, tuple(parameters.values()))


def test_top_columns_keep_their_order():
    interaction = torch.tensor([[[1.0, 9.0, 0.0, 5.0], [1.0, 0.0, 0.0, 5.0]]])
    # Column sums 2, 9, 0, 10: columns 1 and 3 stay, in this order.
    assert top_columns(interaction, 2).tolist() == [[[9.0, 5.0], [0.0, 5.0]]]


def test_saliencies_decide_the_coordinates():
    """Images with other saliencies get other maps, and some of their rows are empty, so that z0 is used."""
    torch.manual_seed(0)
    scm = SCM(64, coordinates=16)
    m = scm.coordinates(scm.g_theta(torch.rand(8, 128)))
    assert m.shape == (8, 64, 16)
    used = m > 0
    assert (used != used[0]).any()
    assert 0.05 < used.float().mean() < 0.4
    assert (~used).all(2).any()


def test_initial_state_answers_for_empty_rows():
    scm = SCM(8, coordinates=2)
    torch.nn.init.zeros_(scm.expansion.weight)
    torch.nn.init.constant_(scm.expansion.bias, -1.0)
    a = scm(torch.rand(1, 16))
    torch.testing.assert_close(a, torch.sigmoid(scm.map(scm.z0))[None])
    a.sum().backward()
    assert scm.z0.grad.any()


@pytest.mark.parametrize("coordinates", [0, 9])
def test_number_of_coordinates_is_checked(coordinates):
    with pytest.raises(ValueError, match=r"1\.\.8"):
        SCM(8, coordinates)


@pytest.mark.parametrize("coordinates", [1, 8])
def test_alpha_balances_the_frequencies(coordinates):
    specam = SpeCAM(8, coordinates)
    assert specam.alpha == 0.5
    f_spe = torch.rand(1, 8, 5, 6)
    assert specam(f_spe).shape == f_spe.shape
