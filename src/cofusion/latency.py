"""How long the networks of several runs take for one image, measured side by side."""

import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from cofusion.errors import UserError
from cofusion.export import rebuild
from cofusion.models.base import FusionNetwork
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
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    nets = {name: _net(run).to(device).eval() for name, run in runs.items()}
    inputs = {name: _inputs(net, size, device) for name, net in nets.items()}
    times: dict[str, list[float]] = {name: [] for name in nets}
    with torch.inference_mode():
        for turn in range(_TURNS + 2):
            for name, net in nets.items():
                seconds = _time(net, inputs[name], device)
                if turn >= 2:  # the first ones choose algorithms and fill caches
                    times[name].append(seconds)
    on = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"CPU, {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"
    )
    return {name: 1000 * statistics.median(each) for name, each in times.items()}, on


def _net(run: Path) -> FusionNetwork:
    path = find_checkpoint(run)
    net = rebuild(read_checkpoint(path), path)
    if not isinstance(net, FusionNetwork):
        raise UserError(f"{path}: {type(net).__name__} does not say how many bands it takes")
    return net


def _inputs(net: FusionNetwork, size: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    low = max(1, size // net.scale)
    lr_hsi = torch.rand(1, net.hsi_bands, low, low, device=device)
    return lr_hsi, torch.rand(1, net.msi_bands, low * net.scale, low * net.scale, device=device)


def _time(net: FusionNetwork, inputs: tuple[torch.Tensor, torch.Tensor], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    net(*inputs)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began
