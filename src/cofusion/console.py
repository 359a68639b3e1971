"""What a run says on the terminal, and what it leaves unsaid."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.utilities import rank_zero_only

# Lightning's advertisements, and news about hardware that nobody asked for.
_CHATTER = ("💡", "TPU available", "Loading `train_dataloader` to estimate")
_HARMLESS = (
    # Lightning with PyTorch and with jsonargparse, whose bounds in pyproject.toml take care of it.
    r"(?s).*JsonargparseDeprecationWarning",
    r"(?s).*was deprecated in v4\.\d+\.\d+ and will be removed in v5",
    r".*isinstance\(treespec, LeafSpec\)",
    # Only fit writes checkpoints.
    r".*callbacks used to create the checkpoint need to be provided.*RunCheckpoint",
    # The whole data set is in memory: one process cuts patches faster than a network uses them.
    r".*does not have many workers which may be a bottleneck",
    # Outside a job of SLURM's; within one, Lightning does not say it.
    r".*The `srun` command is available on your system but is not used",
    # The sampler goes on at the very batch.
    r".*resuming from a checkpoint that ended before the epoch ended",
    # Resuming a run goes on in its directory on purpose.
    r".*Checkpoint directory .* exists and is not empty",
    # Runs of few batches log once an epoch.
    r".*The number of training batches .* is smaller than the logging interval",
)


class Bar(RichProgressBar):
    """A progress bar that is gone when callbacks after it print the table of a test."""

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop drawing."""
        super().on_test_end(trainer, pl_module)
        self.teardown(trainer, pl_module, "test")


@rank_zero_only
def say(message: str) -> None:
    """Print one line; only the first process of a distributed run does."""
    print(message, flush=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back what is known to be harmless here, and only that."""
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    logger.addFilter(_is_news)
    try:
        with warnings.catch_warnings():
            for message in _HARMLESS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        logger.removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_CHATTER)
