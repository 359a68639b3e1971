"""Callbacks that make the run directory the record of a run."""

from cofusion.training.callbacks.figures import FigureWriter
from cofusion.training.callbacks.health import Health
from cofusion.training.callbacks.images import ImageWriter
from cofusion.training.callbacks.predictions import PredictionWriter
from cofusion.training.callbacks.results import ResultsWriter

__all__ = ["FigureWriter", "Health", "ImageWriter", "PredictionWriter", "ResultsWriter"]
