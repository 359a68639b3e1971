"""How long the networks of several runs take for one image, measured side by side."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch

from cofusion.errors import UserError
from cofusion.export import rebuild
from cofusion.models.base import FusionNetwork
from cofusion.speed.timing import in_turn, milliseconds, warm_up
from cofusion.training.checkpoints import find_checkpoint, read_checkpoint

SIZE = 64
_TURNS = 20


def latencies(runs: Mapping[str, Path], size: int = SIZE) -> tuple[dict[str, float], str]:
    """Measure the networks of several runs in turn, so that whatever else the machine does hits all alike.

    Args:
        runs: Name to run directory with a checkpoint.
        size: Rows and columns of the fused image, a batch of one, in float32 without compiling.

    Returns:
        Name to median time in ms, and the device: the GPU where there is one, or the CPU with its threads.

    Raises:
        UserError: A run has no checkpoint whose network can be made.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    nets = {name: _net(run).to(device).eval() for name, run in runs.items()}
    jobs = {name: partial(net, *_inputs(net, size, device)) for name, net in nets.items()}
    with torch.inference_mode():
        warm_up(jobs, device)
        taken = in_turn(jobs, _TURNS, device=device)
    threads = torch.get_num_threads()
    on = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {threads} thread{'s' * (threads > 1)}"
    return {name: milliseconds(seconds) for name, seconds in taken.items()}, on


def _net(run: Path) -> FusionNetwork:
    path = find_checkpoint(run)
    net = rebuild(read_checkpoint(path), path)
    if not isinstance(net, FusionNetwork):
        raise UserError(f"{path}: {type(net).__name__} does not say how many bands it takes")
    return net


def _inputs(net: FusionNetwork, size: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    low = max(1, size // net.scale)
    lr_hsi = torch.rand(1, net.hsi_bands, low, low, device=device)
    return lr_hsi, torch.rand(1, net.msi_bands, low * net.scale, low * net.scale, device=device)
