"""The run directory's own ledger of metrics."""

import csv
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from cofusion.files import whole_file


class MetricsLog(CSVLogger):
    """Write `metrics.csv` into the run directory, and go on with it when a run is resumed.

    Lightning's logger would delete the file that an earlier start of the same run wrote, and a process that
    is killed while it writes would leave half a row, or none of the earlier ones.

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
            self._experiment = _WholeFileWriter(self.log_dir, self.steps_done)
        return self._experiment


class _WholeFileWriter(ExperimentWriter):
    """Lightning's writer of `metrics.csv`, which rewrites the file whole: it has a few rows an epoch."""

    def __init__(self, log_dir: str, steps_done: int) -> None:
        self._path = Path(log_dir) / self.NAME_METRICS_FILE
        rows = self._rows() if steps_done else []
        self._written: list[dict[str, Any]] = [row for row in rows if int(row["step"]) < steps_done]
        super().__init__(log_dir)
        if self._written:
            self._write()
        else:
            self._path.unlink(missing_ok=True)

    def save(self) -> None:
        """Bring the rows that are new to the disk."""
        if self.metrics:
            self._written += self.metrics
            self.metrics = []
            self._write()

    def _check_log_dir_exists(self) -> None:
        """Leave the file of an earlier start alone."""

    def _rows(self) -> list[dict[str, str]]:
        if not self._path.is_file():
            return []
        with self._path.open(newline="") as file:
            return list(csv.DictReader(file))

    def _write(self) -> None:
        names = sorted({name for row in self._written for name in row})
        with whole_file(self._path) as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=names)
            writer.writeheader()
            writer.writerows(self._written)
