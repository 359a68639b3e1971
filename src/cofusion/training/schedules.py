"""Learning rates as a curve over the whole run, so that they follow when its length is changed."""

import math
from abc import ABC, abstractmethod


class Schedule(ABC):
    """A factor on the learning rate as a function of the run's progress."""

    @abstractmethod
    def __call__(self, progress: float) -> float:
        """Return the factor at `progress`, from 0 (first step) to 1 (end of the run)."""


class Cosine(Schedule):
    """Linear warm-up, then half a cosine down (Loshchilov and Hutter, SGDR, eq. 5, one period).

    Args:
        warmup: Part of the run over which the factor rises from near 0 to 1, in [0, 1).
        floor: Factor at the end of the run, in [0, 1].

    Raises:
        ValueError: An argument lies outside its range.
    """

    def __init__(self, warmup: float = 0.0, floor: float = 0.0) -> None:
        if not 0 <= warmup < 1 or not 0 <= floor <= 1:
            raise ValueError(f"warmup must lie in [0, 1) and floor in [0, 1], got {warmup} and {floor}")
        self.warmup = warmup
        self.floor = floor

    def __call__(self, progress: float) -> float:
        """Return the factor at `progress`."""
        if progress < self.warmup:
            # Not 0 at the first step: a step without effect would only waste a batch.
            return max(progress / self.warmup, 1e-3)
        decay = min((progress - self.warmup) / (1 - self.warmup), 1.0)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * decay)) / 2
