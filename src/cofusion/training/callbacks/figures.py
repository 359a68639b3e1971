"""Pictures of what the network does, during training and at the test."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn

from cofusion.files import file_stem
from cofusion.reports import save_figure
from cofusion.training.callbacks.scene_figure import estimates, method_title, run_dir, scene_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class FigureWriter(Callback):
    """Draw scenes into `figures/` of the run directory and mirror them to loggers that take images.

    A figure shows the inputs, the fused image, the reference, error maps and spectra: see
    `cofusion.reports.fusion_figure`. At the test the table of metrics per scene goes to W&B too. A logger
    that fails is reported once and does not end the run.

    Args:
        every_n_epochs: Draw at the validation of every n-th epoch; 0 draws at tests only. `cofusion validate`
            always draws.
        max_scenes: At most so many scenes per validation or test; in a distributed run, of those that the
            first process measures, which alone draws.
    """

    def __init__(self, every_n_epochs: int = 10, max_scenes: int = 4) -> None:
        self.every_n_epochs = every_n_epochs
        self.max_scenes = max_scenes
        self._drawn = 0
        self._warned = False

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count the scenes drawn."""
        self._drawn = 0

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count the scenes drawn."""
        self._drawn = 0

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the batch's scenes if this epoch's turn has come."""
        if trainer.state.fn != TrainerFn.FITTING:
            self._draw(trainer, pl_module, outputs, batch, "validation")
        elif self._due(trainer):
            epoch = trainer.current_epoch + 1
            self._draw(trainer, pl_module, outputs, batch, "validation", epoch)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the batch's scenes."""
        self._draw(trainer, pl_module, outputs, batch, "test")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the metrics of every method and scene to W&B as one table."""
        results: Mapping[str, Mapping[str, Mapping[str, float]]] = getattr(pl_module, "test_results", {})
        rows = [
            {"method": method_title(pl_module) if method == "fused" else method, "scene": scene, **scores}
            for method, scenes in results.items()
            for scene, scores in scenes.items()
        ]
        if not rows:
            return
        columns = list(rows[0])
        data = [[row[column] for column in columns] for row in rows]
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                self._safely(logger.log_table, "test/metrics", columns=columns, data=data)

    def _due(self, trainer: Trainer) -> bool:
        if trainer.sanity_checking or self.every_n_epochs <= 0:
            return False
        return (trainer.current_epoch + 1) % self.every_n_epochs == 0

    def _draw(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: Any,
        batch: Mapping[str, Any],
        stage: str,
        epoch: int | None = None,
    ) -> None:
        """Draw what is still allowed of a batch; outputs without a fused image are passed over."""
        if not trainer.is_global_zero:
            return
        fused = estimates(outputs).get("fused", ())
        for index in range(min(len(fused), self.max_scenes - self._drawn)):
            scene = batch["name"][index]
            title = scene if epoch is None else f"{scene}, epoch {epoch}"
            figure = scene_figure(trainer, module, outputs, batch, index, title)
            when = "" if epoch is None else f"_epoch_{epoch:04d}"
            path = run_dir(trainer) / "figures" / f"{stage}_{file_stem(scene)}{when}.png"
            save_figure(figure, path)
            self._drawn += 1
            self._mirror(trainer, figure, path, f"figures/{stage}/{scene}", title)

    def _mirror(self, trainer: Trainer, figure: "Figure", path: Path, key: str, title: str) -> None:
        step = trainer.global_step
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                self._safely(logger.log_image, key, [str(path)], step=step, caption=[title])
            elif isinstance(logger, TensorBoardLogger):
                self._safely(logger.experiment.add_figure, key, figure, global_step=step)

    def _safely(self, send: Any, *arguments: Any, **options: Any) -> None:
        try:
            send(*arguments, **options)
        except Exception as error:
            if not self._warned:
                self._warned = True
                rank_zero_warn(f"a logger did not take a figure or table, the run goes on: {error!r}")
