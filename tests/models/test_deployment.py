"""The network outside Python's eager mode: compiled, exported, as ONNX, in other memory formats."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch.export import Dim

from cofusion import CoFusion
from command import SHALLOW

# Rows and columns of the LRHSI, odd and prime ones among them, other than what is traced.
SIZES = ((5, 9), (8, 8), (17, 6))
TRACED = (12, 20)
NETWORKS = [
    (4, {}),
    (3, {"pool_extent": 32}),
    pytest.param(2, {"variant": "no_spacam"}, marks=pytest.mark.slow),
    pytest.param(3, {"variant": "no_sscfm"}, marks=pytest.mark.slow),
    pytest.param(8, {"variant": "no_specam"}, marks=pytest.mark.slow),
]


def network(scale, **kwargs):
    torch.manual_seed(0)
    return CoFusion(5, 3, scale, dim=8, **SHALLOW, **kwargs).eval()


def pair(scale, rows, cols, batch=1):
    generator = torch.Generator().manual_seed(rows)
    lr_hsi = torch.rand(batch, 5, rows, cols, generator=generator)
    return lr_hsi, torch.rand(batch, 3, rows * scale, cols * scale, generator=generator)


def exported(net, scale):
    any_size = {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    return torch.export.export(net, pair(scale, *TRACED), dynamic_shapes=(any_size, any_size))


@pytest.mark.parametrize(("scale", "kwargs"), NETWORKS)
def test_compiles_as_one_graph(scale, kwargs):
    net = network(scale, **kwargs)
    # `fullgraph` raises at a graph break.
    compiled = torch.compile(net, fullgraph=True, backend="eager", dynamic=False)
    torch.testing.assert_close(compiled(*pair(scale, 4, 6)), net(*pair(scale, 4, 6)))


def test_training_compiles_as_one_graph():
    net, reference = network(4).train(), network(4).train()
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    for model in (compiled, reference):
        torch.manual_seed(1)
        model(*pair(4, 4, 4, batch=2)).square().mean().backward()
    for (name, ours), theirs in zip(net.named_parameters(), reference.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None), name


@pytest.mark.slow
def test_compiled_by_inductor_equals_eager():
    net = network(4)
    compiled = torch.compile(net, fullgraph=True)
    torch.testing.assert_close(compiled(*pair(4, 8, 8)), net(*pair(4, 8, 8)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("scale", "kwargs"), NETWORKS)
def test_exported_program_takes_any_rows_and_columns(scale, kwargs):
    net = network(scale, **kwargs)
    program = exported(net, scale).module()
    for size in SIZES:
        torch.testing.assert_close(program(*pair(scale, *size)), net(*pair(scale, *size)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("scale", "kwargs"), [NETWORKS[0], NETWORKS[3]])
def test_onnx_takes_any_rows_and_columns(tmp_path, scale, kwargs):
    net = network(scale, **kwargs)
    path = tmp_path / "net.onnx"
    torch.onnx.export(exported(net, scale), f=path, input_names=["lr_hsi", "hr_msi"], verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for size in SIZES:
        lr_hsi, hr_msi = pair(scale, *size)
        (fused,) = session.run(None, {"lr_hsi": lr_hsi.numpy(), "hr_msi": hr_msi.numpy()})
        np.testing.assert_allclose(fused, net(lr_hsi, hr_msi).detach(), rtol=0, atol=1e-5)


def test_memory_format_of_the_inputs_does_not_matter():
    net = network(4)
    lr_hsi, hr_msi = pair(4, 6, 5, batch=2)
    last = (x.contiguous(memory_format=torch.channels_last) for x in (lr_hsi, hr_msi))
    torch.testing.assert_close(net(*last), net(lr_hsi, hr_msi))


def test_state_dict_is_plain_tensors():
    state = network(4).state_dict()
    assert {type(value) for value in state.values()} == {torch.Tensor}
    assert sum(value.numel() for value in state.values()) == sum(p.numel() for p in network(4).parameters())
