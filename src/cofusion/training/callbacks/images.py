"""Fused test scenes as files, for pictures that compare several runs."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from cofusion.reports.records.images import CUBES, FOLDER, write_scene
from cofusion.training.callbacks.scene_figure import (
    FileStems,
    estimates,
    run_dir,
    scene_cubes,
    scene_wavelengths,
)


class ImageWriter(Callback):
    """Write every tested scene to `images/<scene>.npz` in the run directory: the fused image and its pair.

    `cofusion report` draws its pictures from these files; `cofusion.reports.records.images.write_scene` says
    what they hold. A CAVE scene (512 x 512 pixels, 31 bands) takes about 25 MB, half of it for the reference.

    Args:
        max_scenes: At most so many scenes per test, of those that each process measures.
    """

    def __init__(self, max_scenes: int = 8) -> None:
        self.max_scenes = max_scenes
        self._written = 0
        self._stems = FileStems()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the scenes of an earlier test."""
        self._written = 0
        self._stems = FileStems()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Mapping[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write what is still allowed of the batch."""
        wavelengths = scene_wavelengths(trainer)
        fused = estimates(outputs).get("fused", ())
        for index in range(min(len(fused), self.max_scenes - self._written)):
            cubes = scene_cubes(outputs, batch, index)
            # What was not fused here, as interpolation, is a method of its own.
            wanted = {key: cube for key, cube in cubes.items() if key in CUBES}
            name = batch["name"][index]
            write_scene(run_dir(trainer) / FOLDER / f"{self._stems(name)}.npz", name, wanted, *wavelengths)
            self._written += 1
