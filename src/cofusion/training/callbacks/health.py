"""Signs of whether every part of the network is at work while it trains."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from cofusion.errors import UserError
from cofusion.models.cofusion import CoFusion
from cofusion.models.cofusion.spacam import DILATIONS, SpaCAM
from cofusion.models.cofusion.specam import SCM, SpeCAM


class Health(Callback):
    """Log what tells whether every part of the network is used and trained.

    Every n-th optimiser step of an epoch is measured, beginning with its first; `metrics.csv` and the other
    loggers get the mean over an epoch's measurements and over all processes. Other steps are left alone, and
    what is trained does not change by a bit. Of any network:

    - `health/grad/<part>`: L2 norm of the gradient of each of its parts, `msg` or `head` for example, before
      clipping; 0 where no gradient arrives.

    Of each level of a `CoFusion`, 1 being full resolution, where the variant has the module:

    - `health/scm<level>/zeros`: fraction of zeros in the coordinate matrix M of SCM, in [0, 1].
    - `health/scm<level>/empty_rows`: fraction of rows of M that hold nothing else, in [0, 1]: channels that
      keep their initial state z0 (equation 4).
    - `health/specam<level>/alpha`: the balance of low against high frequencies, in (0, 1).
    - `health/gate<level>/entropy`: entropy of the gates over the three dilations (equation 3) divided by
      log 3, the mean over the level's SpaCAM, channels and pixels: 1 is undecided, 0 a hard choice.

    A step with gradient accumulation is measured whole: the gradient is that of all its batches, the other
    values are means over them. A network compiled by `torch.compile` is not listened to, which would break up
    its graph: it has gradient norms and alpha alone.

    Args:
        every_n_steps: Measure every n-th optimiser step.

    Raises:
        UserError: `every_n_steps` is not positive.
    """

    def __init__(self, every_n_steps: int = 50) -> None:
        if every_n_steps < 1:
            raise UserError(f"Health got every_n_steps {every_n_steps}: give 1 or more, or leave Health out")
        self.every_n_steps = every_n_steps
        self._due = False
        self._hooks: list[RemovableHandle] = []

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Listen to SCM and the gates if this step's turn has come."""
        # Counted within the epoch, so that a short one is measured too.
        step = batch_idx // trainer.accumulate_grad_batches
        self._due = step % self.every_n_steps == 0
        if self._due:
            self._hooks = [_listen(pl_module, level, cam) for level, cam in _cams(_network(pl_module))]

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Measure the gradients, which Lightning has not clipped yet, and alpha."""
        if not self._due:
            return
        net = _network(pl_module)
        values = {f"health/grad/{part}": norm for part, norm in gradient_norms(net).items()}
        for level, cam in _cams(net):
            if isinstance(cam, SpeCAM):
                values[f"health/specam{level}/alpha"] = cam.alpha.detach()
        _log(pl_module, values, batch_size=1)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop listening."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop listening."""
        self._stop()

    def _stop(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self._due = False


def gradient_norms(net: nn.Module) -> dict[str, Tensor]:
    """Return the L2 norm of the gradient of every trained part of a network.

    Args:
        net: A network; its parts are its sub-modules, and the parameters that are its own.
    """
    parts: dict[str, list[Tensor]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            gradients = parts.setdefault(name.partition(".")[0], [])
            if parameter.grad is not None:
                gradients.append(parameter.grad)
    return {part: get_total_norm(gradients) for part, gradients in parts.items()}


def sparsity(m: Tensor) -> dict[str, Tensor]:
    """Return the fraction of `zeros` in `m (B, C, K)`, and that of `empty_rows`, which hold nothing else."""
    zero = m == 0
    return {"zeros": zero.float().mean(), "empty_rows": zero.all(2).float().mean()}


def gate_entropy(gates: Tensor) -> Tensor:
    """Return the mean entropy of gates `(B, H, W, 3, D)` over the three as a fraction of the largest."""
    blocks = len(DILATIONS)
    entropy: Tensor = torch.special.entr(gates.float()).mean() * blocks
    return entropy / math.log(blocks)


def _network(module: LightningModule) -> nn.Module:
    net: nn.Module = getattr(module, "net", module)
    return net


def _cams(net: nn.Module) -> list[tuple[int, SpaCAM | SpeCAM]]:
    """The SpaCAM and SpeCAM of a network with their levels; none of one that is no CoFusion."""
    if not isinstance(net, CoFusion):
        return []
    return [
        (level, module)
        for branch in (net.spacam, net.specam)
        for level, stage in enumerate(branch, start=1)
        for module in stage.modules()
        if isinstance(module, SpaCAM | SpeCAM)
    ]


def _listen(log_to: LightningModule, level: int, cam: SpaCAM | SpeCAM) -> RemovableHandle:
    if isinstance(cam, SpaCAM):
        return _listen_to_gate(log_to, level, cam)
    return _listen_to_scm(log_to, level, cam.scm)


def _listen_to_gate(log_to: LightningModule, level: int, spacam: SpaCAM) -> RemovableHandle:
    def hook(_: nn.Module, inputs: tuple[Tensor, ...], d: Tensor) -> None:
        if not torch.compiler.is_compiling():
            entropy = gate_entropy(spacam.gate(d.detach()))
            _log(log_to, {f"health/gate{level}/entropy": entropy}, batch_size=len(d))

    return spacam.mix_contexts.register_forward_hook(hook)


def _listen_to_scm(log_to: LightningModule, level: int, scm: SCM) -> RemovableHandle:
    def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if not torch.compiler.is_compiling():
            # M is computed again, after the forward pass has: the other way round, the autocast of older
            # PyTorch would remember weights cast without a gradient and hand them to the forward pass.
            with torch.no_grad():
                m = scm.coordinates(scm.g_theta(inputs[0]))
            values = {f"health/scm{level}/{name}": value for name, value in sparsity(m).items()}
            _log(log_to, values, batch_size=len(m))

    return scm.register_forward_hook(hook)


def _log(module: LightningModule, values: Mapping[str, Tensor], batch_size: int) -> None:
    module.log_dict(values, on_step=False, on_epoch=True, batch_size=batch_size, sync_dist=True)
