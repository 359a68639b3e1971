"""The selective scan of state-space models (Gu and Dao, Mamba, 2023, section 3), in bounded memory."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.utils.checkpoint import checkpoint

# How many positions have their states in memory at once.
SEGMENT = 512


def selective_scan(x: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Run, for every channel, a linear recurrence whose step and gates change from position to position.

    `state_t = exp(delta_t a) state_(t-1) + delta_t x_t b_t`, beginning at 0, and `y_t = state_t . c_t`. It is
    computed in the precision of its arguments, autocast or not. Of the states, only those of `SEGMENT`
    positions are in memory at once; for the gradient they are computed again.

    Args:
        x: Input, `(B, L, E)`.
        delta: Step sizes, positive, `(B, L, E)`.
        a: Rates of every channel's N states, negative, `(E, N)`.
        b: Gates of the input, `(B, L, N)`.
        c: Gates of the output, `(B, L, N)`.

    Returns:
        `(B, L, E)`.
    """
    return _eager(x, delta, a, b, c)


def _scan(x: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    state = x.new_zeros(len(x), *a.shape)
    outputs = []
    with torch.autocast(x.device.type, enabled=False):
        for parts in zip(*(torch.split(t, SEGMENT, 1) for t in (x, delta, b, c)), strict=True):
            y, state = checkpoint(_segment, state, a, *parts, use_reentrant=False, preserve_rng_state=False)
            outputs.append(y)
    return torch.cat(outputs, 1)


# Compiled, every position would become code of its own.
_disable: Callable[..., Callable[..., Tensor]] = torch.compiler.disable
_eager = _disable(_scan)


def _segment(
    state: Tensor, a: Tensor, x: Tensor, delta: Tensor, b: Tensor, c: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the outputs of some positions and the state after the last one."""
    decay = (delta.unsqueeze(3) * a).exp()
    entry = (delta * x).unsqueeze(3) * b.unsqueeze(2)
    recur: Callable[..., Tensor] = _Recurrence.apply
    states = recur(decay, entry, state)
    return (states @ c.unsqueeze(3)).squeeze(3), states[:, -1]


class _Recurrence(Function):
    """`state_t = decay_t state_(t-1) + entry_t` along the second axis; the gradient runs it backwards."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, entry: Tensor, start: Tensor) -> Tensor:
        states = torch.empty_like(entry)
        state = start
        for t in range(entry.shape[1]):
            state = torch.addcmul(entry[:, t], decay[:, t], state, out=states[:, t])
        ctx.save_for_backward(decay, states, start)
        return states

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        decay, states, start = ctx.saved_tensors
        # What a state does to the loss: by its own output, and by all later states.
        grad_entry = torch.empty_like(grad)
        carried = torch.zeros_like(start)
        for t in range(grad.shape[1] - 1, -1, -1):
            total = torch.add(grad[:, t], carried, out=grad_entry[:, t])
            carried = decay[:, t] * total
        before = torch.cat((start.unsqueeze(1), states[:, :-1]), 1)
        return grad_entry * before, grad_entry, carried
