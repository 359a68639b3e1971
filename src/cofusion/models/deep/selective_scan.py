"""The selective scan of state-space models (Gu and Dao, Mamba, 2023, section 3), in bounded memory."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

# How many numbers the states of one segment may have. A CPU is fastest where they stay in its cache; other
# devices, where they get much to do at once.
NUMBERS = {"cpu": 2**18}
NUMBERS_ELSEWHERE = 2**24


def selective_scan(x: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Run, for every channel, a linear recurrence whose step and gates change from position to position.

    `state_t = exp(delta_t a) state_(t-1) + delta_t x_t b_t`, beginning at 0, and `y_t = state_t . c_t`. It is
    computed in the precision of its arguments, autocast or not. Of the states, only those of a few positions
    are in memory at once; for the gradient they are computed again.

    Args:
        x: Input, `(B, L, E)`.
        delta: Step sizes, positive, `(B, L, E)`.
        a: Rates of every channel's N states, negative, `(E, N)`.
        b: Gates of the input, `(B, L, N)`.
        c: Gates of the output, `(B, L, N)`.

    Returns:
        `(B, L, E)`.
    """
    # States lie by position, image, state and channel: what a step of the recurrence touches lies together.
    sequences = (t.transpose(0, 1).contiguous() for t in (x, delta, b, c))
    return _eager(a.t().contiguous(), *sequences).transpose(0, 1)


def _scan(a: Tensor, x: Tensor, delta: Tensor, b: Tensor, c: Tensor) -> Tensor:
    apply: Callable[..., Tensor] = _Scan.apply
    return apply(a, x, delta, b, c)


# Compiled, every position would become code of its own.
_disable: Callable[..., Callable[..., Tensor]] = torch.compiler.disable
_eager = _disable(_scan)


class _Scan(Function):
    """The scan and, running backwards through its segments, its gradient."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, x: Tensor, delta: Tensor, b: Tensor, c: Tensor) -> Tensor:
        y = torch.empty_like(x)
        state = x.new_zeros(x.shape[1], *a.shape)
        starts = []
        with torch.autocast(x.device.type, enabled=False):
            for part in _segments(a, x):
                starts.append(state)
                states = _states(state, a, x[part], delta[part], b[part])[1][1:]
                torch.matmul(c[part].unsqueeze(2), states, out=y[part].unsqueeze(2))
                state = states[-1].clone()
        ctx.save_for_backward(a, x, delta, b, c, torch.stack(starts))
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        a, x, delta, b, c, starts = ctx.saved_tensors
        grad = grad.contiguous()
        grads = [torch.zeros_like(t) for t in (a, x, delta, b, c)]
        with torch.autocast(x.device.type, enabled=False):
            # What the first state of the later segment does to the loss through the states that follow.
            carried = torch.zeros_like(starts[0])
            for start, part in reversed(list(zip(starts, _segments(a, x), strict=True))):
                arguments = (start, a, x[part], delta[part], b[part], c[part])
                found, carried = _segment_backward(grad[part], carried, *arguments)
                grads[0] += found[0]
                for total, one in zip(grads[1:], found[1:], strict=True):
                    total[part] = one
        return tuple(grads)


def _segments(a: Tensor, x: Tensor) -> list[slice]:
    numbers = NUMBERS.get(x.device.type, NUMBERS_ELSEWHERE)
    step = max(1, numbers // max(1, x.shape[1] * a.numel()))
    return [slice(start, start + step) for start in range(0, len(x), step)]


def _states(start: Tensor, a: Tensor, x: Tensor, delta: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the decay at every position of a segment, and the states, with the one before the first."""
    decay = (delta.unsqueeze(2) * a).exp_()
    states = torch.empty(len(x) + 1, *start.shape, dtype=x.dtype, device=x.device)
    states[0] = start
    torch.mul((delta * x).unsqueeze(2), b.unsqueeze(3), out=states[1:])
    for t in range(len(x)):
        states[t + 1].addcmul_(decay[t], states[t])
    return decay, states


def _segment_backward(
    grad: Tensor, carried: Tensor, start: Tensor, a: Tensor, x: Tensor, delta: Tensor, b: Tensor, c: Tensor
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return the gradients to `a, x, delta, b, c` of a segment, and what it carries to the one before."""
    decay, states = _states(start, a, x, delta, b)
    # A row from the left: a column from the right takes ten times as long on a CPU.
    grad_c = (grad.unsqueeze(2) @ states[1:].mT).squeeze(2)
    # What a state does to the loss: by its own output, and by all later states.
    of_states = grad.unsqueeze(2) * c.unsqueeze(3)
    of_states[-1] += carried
    for t in range(len(x) - 1, 0, -1):
        of_states[t - 1].addcmul_(decay[t], of_states[t])
    carried = decay[0] * of_states[0]
    of_products = (b.unsqueeze(2) @ of_states).squeeze(2)
    grad_b = ((delta * x).unsqueeze(2) @ of_states.mT).squeeze(2)
    # To the logarithms of the decays, delta_t a.
    of_logs = of_states.mul_(states[:-1]).mul_(decay)
    grad_delta = (of_logs * a).sum(2).addcmul_(of_products, x)
    grad_a = of_logs.mul_(delta.unsqueeze(2)).sum((0, 1))
    return (grad_a, of_products * delta, grad_delta, grad_b, grad_c), carried
