"""What a network costs besides time: parameters, multiply-adds, memory."""

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from cofusion.memory import added
from cofusion.speed.case import Case
from cofusion.speed.methods import make

Shape = tuple[int, ...]
_count_attention: Callable[[Shape, Shape, Shape], int] = sdpa_flop_count


@dataclass(frozen=True)
class Cost:
    """What one forward pass costs.

    Attributes:
        parameters: How many the network has.
        multiply_adds: Of its convolutions, matrix products and attentions.
        peak: Bytes of memory that the pass adds at most; None where that was not measured.
    """

    parameters: int
    multiply_adds: int
    peak: int | None


def costs(method: str, cases: Sequence[Case], device: str = "cpu") -> list[Cost]:
    """Measure what a method costs under several conditions.

    Args:
        method: Name of the method.
        cases: The conditions. The memory of compiled networks is not measured.
        device: On CPU a process of its own, with one thread, measures what is added to its resident set; on a
            GPU it is what torch's allocator hands out.

    Returns:
        One for each case.
    """
    if device == "cpu":
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(_alone, (method, cases))
    return measure(method, cases, device)


def measure(method: str, cases: Sequence[Case], device: str = "cpu") -> list[Cost]:
    """Measure the same as `costs` in this process, whose earlier work may have left memory for the passes."""
    return [_cost(method, case, device) for case in cases]


def multiply_adds(net: nn.Module, inputs: tuple[Tensor, Tensor]) -> int:
    """Count the multiply-adds of one forward pass: convolutions, matrix products and attentions."""
    with FlopCounterMode(display=False, custom_mapping=_ALSO) as counter:
        net(*inputs)
    return int(counter.get_total_flops()) // 2


def parameters(net: nn.Module) -> int:
    """Count a network's parameters."""
    return sum(parameter.numel() for parameter in net.parameters())


def _attention(query: Shape, key: Shape, value: Shape, *_: object, **__: object) -> int:
    return _count_attention(query, key, value)


# Attention as CPUs compute it, which torch's table leaves out.
_ALSO = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention}


def _alone(method: str, cases: Sequence[Case]) -> list[Cost]:
    torch.set_num_threads(1)
    return measure(method, cases)


def _cost(method: str, case: Case, device: str) -> Cost:
    # The counter looks for gradients of parameters that require them, even where none are computed.
    net = make(method, *case.bands, case.scale).to(device).eval().requires_grad_(False)
    inputs, counted = case.inputs(device), 0

    def count() -> None:
        nonlocal counted
        counted = multiply_adds(net, inputs)

    with case.conditions(device):
        # The first pass takes memory for the libraries, the counter and the kernels that it has made.
        count()
        peak = added(count) if device == "cpu" else _allocated(count, device)
    return Cost(parameters(net), counted, None if case.precision == "compiled" else peak)


def _allocated(job: Callable[[], None], device: str) -> int:
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    job()
    return torch.cuda.max_memory_allocated(device) - before
