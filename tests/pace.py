"""A training that takes its time without taking the processor's."""

import os
import time

from lightning.pytorch import Callback


class Pace(Callback):
    """Wait at every batch, until the job has been started again."""

    def __init__(self, seconds: float) -> None:
        self.seconds = 0.0 if "SLURM_RESTART_COUNT" in os.environ else seconds

    def on_train_batch_start(self, *_: object) -> None:
        time.sleep(self.seconds)


def pace(seconds: float) -> list[str]:
    """Return the flags that let a run wait so long at every batch."""
    return ["--trainer.callbacks+=pace.Pace", f"--trainer.callbacks.seconds={seconds}"]
