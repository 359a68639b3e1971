"""Exponential moving average of the weights."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.trainer.states import TrainerFn


class EMA(EMAWeightAveraging):
    """Validate, test and keep as `best.ckpt` a moving average of the weights instead of the latest ones.

    Lightning's callback does the work. On its own it would undo the averaging when the best checkpoint is
    tested after training: loading a checkpoint, it puts the latest weights back, which only a resumed
    training wants.

    Args:
        decay: Share of the old average that each step keeps, in [0, 1).
    """

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__(decay=decay)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restore the average and the latest weights where training goes on."""
        if trainer.state.fn == TrainerFn.FITTING:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
