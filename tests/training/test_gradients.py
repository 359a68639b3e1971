"""Training as shipped reaches every weight of the network, on patches of a real scene."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from torch import Tensor, nn

from cofusion.lightning_cli import FusionCLI
from cofusion.resources import resource_dir

STEPS = 4
# The demo's real scene, and the width, depths and optimiser that every config shares.
SHIPPED = [
    "--config=demo.yaml",
    "--model.net.dim=64",
    "--data.batch_size=4",
    f"--trainer.max_steps={STEPS}",
    "--trainer.accelerator=cpu",
    "--trainer.callbacks=null",
    "--trainer.limit_val_batches=0",
    "--trainer.num_sanity_val_steps=0",
    "--trainer.enable_checkpointing=false",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--test_after_fit=false",
]
VARIANTS = sorted(path.stem for path in (resource_dir("configs") / "ablation").glob("*.yaml"))


def watch(net: nn.Module) -> dict[str, list[float]]:
    """The largest absolute gradient that each parameter receives, step by step, as training goes on."""
    received: dict[str, list[float]] = {name: [] for name, _ in net.named_parameters()}
    for name, parameter in net.named_parameters():

        def note(parameter: Tensor, seen: list[float] = received[name]) -> None:
            seen.append(parameter.grad.abs().max().item())

        parameter.register_post_accumulate_grad_hook(note)
    return received


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_receives_a_gradient_within_a_few_steps(variant, tmp_path: Path):
    ablation = f"--config=ablation/{variant}"
    with ExitStack() as stack:
        cli = FusionCLI("fit", [*SHIPPED, ablation, f"--run_dir={tmp_path / 'run'}"], stack)
        assert cli.model.net.variant == variant
        received = watch(cli.model.net)
        cli.run()
    assert cli.trainer.global_step == STEPS
    # The first step, at which nothing has been trained yet, does not count.
    assert [name for name, largest in received.items() if not any(largest[1:])] == []
