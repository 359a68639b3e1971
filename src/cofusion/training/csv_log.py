"""The run directory's own ledger of metrics."""

import csv
import warnings
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger


class MetricsLog(CSVLogger):
    """Write `metrics.csv` into the run directory, and go on with it when a run is resumed.

    Lightning's logger would delete the file that an earlier start of the same run wrote.

    Args:
        directory: The run directory.
        steps_done: Optimiser steps of the checkpoint that the run goes on from. Later rows, which the run
            will write again, are dropped; 0 starts an empty file.
    """

    def __init__(self, directory: str | Path, steps_done: int = 0) -> None:
        super().__init__(save_dir=directory, name="", version="")
        self.steps_done = steps_done

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer, made on first use."""
        if self._experiment is None:
            rows = self._earlier_rows()
            with warnings.catch_warnings():
                # It announces that the rows just read will be deleted; they are written again below.
                warnings.filterwarnings("ignore", ".*exists and is not empty")
                writer = super().experiment
            writer.metrics.extend(rows)
            writer.save()
        return self._experiment

    def _earlier_rows(self) -> list[dict[str, str]]:
        path = Path(self.log_dir) / "metrics.csv"
        if not self.steps_done or not path.is_file():
            return []
        with path.open(newline="") as file:
            return [row for row in csv.DictReader(file) if int(row["step"]) < self.steps_done]
