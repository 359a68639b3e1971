"""Training: the LightningModule, losses, schedules, callbacks and loggers."""

from cofusion.training.averaging import EMA
from cofusion.training.losses import FusionLoss
from cofusion.training.module import FusionModule
from cofusion.training.schedules import Cosine, Schedule

__all__ = ["EMA", "Cosine", "FusionLoss", "FusionModule", "Schedule"]
