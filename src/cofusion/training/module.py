"""The LightningModule: one network, its loss and optimiser, and what is measured."""

from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric

from cofusion.data import Batch, PairDataModule
from cofusion.errors import UserError
from cofusion.inference import fuse
from cofusion.metrics import MAIN_METRICS, fusion_metrics, mean_scores, no_reference_scores
from cofusion.models import Bicubic
from cofusion.models.classical.base import ClassicalMethod
from cofusion.models.describe import describe
from cofusion.sensors import Sensors, centre_phase
from cofusion.training.consistency import Consistency
from cofusion.training.losses import FusionLoss
from cofusion.training.provenance import describe_data
from cofusion.training.schedules import Schedule

# The network's own row in `test_results`, beside those of the baselines.
FUSED = "fused"


class FusionModule(LightningModule):
    """Train and measure one fusion network.

    In evaluation the network's output is clipped to [0, 1], the range of every reference.

    Args:
        net: The network: `forward(lr_hsi, hr_msi) -> fused`, for example `cofusion.CoFusion`. On the command
            line its bands, scale and phase come from `data`.
        loss: `loss(fused, reference) -> scalar`; left out, it is `cofusion.training.FusionLoss`.
        optimizer: Makes the optimiser from the network's parameters.
        lr_scheduler: A curve over the whole run such as `cofusion.training.Cosine`, or any scheduler of
            `torch.optim.lr_scheduler`; left out, the learning rate stays as it is.
        lr_interval: Whether the scheduler moves every optimiser `step` or every `epoch`.
        consistency: What the loss adds where the data yields crops of a real pair at full resolution; left
            out, both of its weights are 1.
        seed: Seed of what is random inside the network, such as dropout. On the command line it is
            `seed_everything`.
        tile: Side in pixels of the tiles in which a network fuses whole images in evaluation, blended as
            `cofusion.fuse` does it, for networks whose attention goes over all pixels; left out, an image is
            fused at once.
        tile_margin: What tiles see around them, in pixels; left out, what suits most networks.

    Raises:
        UserError: A tile below 1, a negative margin, or one without tiles.

    Attributes:
        test_results: After testing, `{method: {scene: {metric: value}}}`, where method is `fused` (the
            network) or a baseline: `bicubic`, and `bicubic_aligned` where the data's phase is not the block's
            centre.
    """

    def __init__(
        self,
        net: nn.Module,
        loss: nn.Module | None = None,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        lr_scheduler: Schedule | LRSchedulerCallable | None = None,
        lr_interval: Literal["step", "epoch"] = "step",
        consistency: Consistency | None = None,
        seed: int = 3407,
        tile: int | None = None,
        tile_margin: int | None = None,
    ) -> None:
        super().__init__()
        if tile is not None and tile < 1:
            raise UserError(f"model.tile is {tile}; give the side of the tiles in pixels, at least 1")
        if tile_margin is not None and (tile is None or tile_margin < 0):
            raise UserError(
                f"model.tile_margin is {tile_margin} and model.tile {tile}; give tiles, and a margin of at "
                f"least 0"
            )
        self.net = net
        self.consistency = Consistency() if consistency is None else consistency
        self.loss = FusionLoss() if loss is None else loss
        self.make_optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.lr_interval = lr_interval
        self.seed = seed
        self.tile = tile
        self.tile_margin = tile_margin
        self.test_results: dict[str, dict[str, dict[str, float]]] = {}
        # Not `self.log(..., sync_dist=True)`: with unequal numbers of images per process its mean is wrong.
        self.means = nn.ModuleDict({name: MeanMetric().set_dtype(torch.float64) for name in MAIN_METRICS})

    def forward(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Fuse `lr_hsi (B, C, h, w)` and `hr_msi (B, c, H, W)` to `(B, C, H, W)`; not clipped."""
        if not isinstance(self.net, ClassicalMethod):
            fused: Tensor = self.net(lr_hsi, hr_msi)
            return fused
        sensors = self._sensors()
        if sensors is None:
            raise UserError(
                f"{type(self.net).__name__} needs to know the sensors; give a data module that has them"
            )
        fused = self.net(lr_hsi, hr_msi, sensors)
        return fused

    def _sensors(self) -> Sensors | None:
        sensors = getattr(getattr(self.trainer, "datamodule", None), "sensors", None)
        return sensors if isinstance(sensors, Sensors) else None

    def setup(self, stage: str) -> None:
        """Give Lightning's model summary an example to count operations with."""
        data = getattr(self.trainer, "datamodule", None)
        if stage == "fit" and isinstance(data, PairDataModule):
            size = data.patch // data.scale
            self.example_input_array = (
                torch.zeros(1, data.hsi_bands, size, size),
                torch.zeros(1, data.msi_bands, data.patch, data.patch),
            )

    def configure_optimizers(self) -> Any:
        """Build the optimiser and the schedule.

        Raises:
            UserError: The network has nothing to train, the optimiser and the trainer do not go together, or
                a curve spans a run without a planned end.
        """
        parameters = [parameter for parameter in self.net.parameters() if parameter.requires_grad]
        if not parameters:
            raise UserError(f"{type(self.net).__name__} has no weights to train; use `cofusion test`")
        optimizer = self.make_optimizer(parameters)
        self._check_clipping(optimizer)
        if self.lr_scheduler is None:
            return optimizer
        if isinstance(self.lr_scheduler, Schedule):
            scheduler: Any = self._whole_run(optimizer, self.lr_scheduler)
        else:
            scheduler = self.lr_scheduler(optimizer)
        plan = {"scheduler": scheduler, "interval": self.lr_interval}
        if isinstance(scheduler, ReduceLROnPlateau):
            # Its metric is measured once an epoch.
            plan |= {"interval": "epoch", "monitor": scheduler.monitor}
        return {"optimizer": optimizer, "lr_scheduler": plan}

    def _check_clipping(self, optimizer: torch.optim.Optimizer) -> None:
        fused = any(group.get("fused") for group in optimizer.param_groups)
        if fused and self.trainer.gradient_clip_val and str(self.trainer.precision).endswith("mixed"):
            raise UserError(
                f"a fused optimiser's gradients cannot be clipped in precision {self.trainer.precision}; set "
                f"model.optimizer.fused to false"
            )

    def _whole_run(self, optimizer: torch.optim.Optimizer, schedule: Schedule) -> LambdaLR:
        trainer, by_step = self.trainer, self.lr_interval == "step"
        if trainer.max_epochs in (None, -1) and not (by_step and trainer.max_steps > 0):
            raise UserError(
                f"{type(schedule).__name__} spans the run, which has no planned end; set trainer.max_epochs"
            )

        def progress(done: int) -> float:
            if not done:
                # Asking now for the number of steps would start the loader's workers before Lightning has
                # restored the epoch of a resumed run.
                return 0.0
            return done / (trainer.estimated_stepping_batches if by_step else float(trainer.max_epochs or 1))

        return LambdaLR(optimizer, lambda done: schedule(progress(done)))

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed what is random in the network by where training stands, so that a resumed run repeats it."""
        entropy = (self.seed, self.current_epoch, batch_idx, self.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch.

        Raises:
            UserError: The loss is not finite; the message names the step and the batch.
        """
        loss: Tensor = self.loss(self(batch["lr_hsi"], batch["hr_msi"]), batch["hr_hsi"])
        sensors = self._sensors()
        if sensors is not None and "full_lr_hsi" in batch:
            pair = batch["full_lr_hsi"], batch["full_hr_msi"]
            loss = loss + self.consistency(self(*pair), *pair, sensors)
        if not torch.isfinite(loss):
            raise UserError(
                f"the loss became {loss.item()} at step {self.global_step} (epoch {self.current_epoch}, "
                f"batch {batch_idx}: {', '.join(batch['name'])}); check that data or lower the learning rate"
            )
        size = len(batch["hr_hsi"])
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        self.log("loss", loss, prog_bar=True, logger=False, batch_size=size)
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the learning rate that the epoch ended with."""
        self.log("train/lr", self.trainer.optimizers[0].param_groups[0]["lr"], sync_dist=True)

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Measure whole images; `val/*` is the mean over them.

        Returns:
            `{"fused": (B, C, H, W)}`, clipped to [0, 1].
        """
        fused = self._fuse(batch)
        metrics = fusion_metrics(_scale(batch))
        for name in MAIN_METRICS:
            mean: Any = self.means[name]
            mean(metrics[name](fused, batch["hr_hsi"]))
            self.log(f"val/{name}", mean, on_epoch=True, prog_bar=name == "psnr", batch_size=len(fused))
        return {FUSED: fused}

    def on_test_start(self) -> None:
        """Forget the results of an earlier test."""
        self.test_results = {}

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Measure the network and the baselines on whole scenes, into `test_results`.

        A batch with a reference gets the metrics of `fusion_metrics`, and one whose data module has `sensors`
        those of `no_reference_scores`.

        Returns:
            `{"fused": (B, C, H, W), "bicubic": (B, C, H, W), ...}`, clipped to [0, 1].

        Raises:
            UserError: The data has neither a reference nor sensors.
        """
        results = {FUSED: self._fuse(batch)}
        for name, baseline in self._baselines(_scale(batch)).items():
            results[name] = baseline(batch["lr_hsi"], batch["hr_msi"]).clamp(0, 1)
        for method, fused in results.items():
            scenes = self.test_results.setdefault(method, {})
            for metric, values in self._measure(fused, batch).items():
                for scene, value in zip(batch["name"], values.tolist(), strict=True):
                    scenes.setdefault(scene, {})[metric] = value
        return results

    def _measure(self, fused: Tensor, batch: Batch) -> dict[str, Tensor]:
        sensors, scores = self._sensors(), {}
        if "hr_hsi" in batch:
            metrics = fusion_metrics(_scale(batch))
            scores = {name: metric(fused, batch["hr_hsi"]) for name, metric in metrics.items()}
        if sensors is not None:
            scores |= no_reference_scores(
                fused, batch["lr_hsi"], batch["hr_msi"], sensors, batch.get("nodata")
            )
        if not scores:
            raise UserError(
                f"{', '.join(batch['name'])} cannot be measured: the data has neither a reference (hr_hsi) "
                f"nor sensors, which quality without one needs; give the data module one of them"
            )
        return scores

    def on_test_epoch_end(self) -> None:
        """Bring the scenes of all processes together and log the network's means."""
        if self.trainer.world_size > 1:
            self.test_results = _gather(self.test_results, self.trainer.world_size)
        for metric, mean in mean_scores(self.test_results.get(FUSED, {})).items():
            self.log(f"test/{metric}", mean, sync_dist=True)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return `{"fused": (B, C, H, W)}`, clipped to [0, 1]."""
        return {FUSED: self._fuse(batch)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Record which network the weights belong to and what it was trained on, as plain values."""
        from cofusion import __version__

        data = getattr(self.trainer, "datamodule", None)
        checkpoint["cofusion"] = {
            "version": __version__,
            "net": describe(self.net),
            "data": describe_data(data) if isinstance(data, PairDataModule) else {},
        }

    def _fuse(self, batch: Batch) -> Tensor:
        pair = batch["lr_hsi"], batch["hr_msi"]
        fused = self(*pair) if self.tile is None else self._fuse_tiles(*pair, self.tile)
        return fused.float().clamp(0, 1)

    def _fuse_tiles(self, lr_hsi: Tensor, hr_msi: Tensor, tile: int) -> Tensor:
        if isinstance(self.net, ClassicalMethod):
            raise UserError(f"{type(self.net).__name__} needs the whole image; leave model.tile out")
        # Regions of a scene may be dark or flat.
        options = {
            "tile": tile,
            "margin": self.tile_margin,
            "device": str(self.device),
            "check_values": False,
        }
        images = [
            fuse(one.cpu(), guide.cpu(), self.net, **options)
            for one, guide in zip(lr_hsi, hr_msi, strict=True)
        ]
        return torch.stack(images).to(self.device)

    def _baselines(self, scale: int) -> dict[str, Bicubic]:
        baselines = {"bicubic": Bicubic(scale)}
        phase = getattr(getattr(self.trainer, "datamodule", None), "phase", None)
        if phase is not None and phase != centre_phase(scale):
            baselines["bicubic_aligned"] = Bicubic(scale, phase)
        return baselines


def _scale(batch: Batch) -> int:
    return int(batch["hr_msi"].shape[-1] // batch["lr_hsi"].shape[-1])


def _gather(mine: dict[str, dict[str, Any]], world_size: int) -> dict[str, dict[str, Any]]:
    parts: list[dict[str, dict[str, Any]]] = [{} for _ in range(world_size)]
    torch.distributed.all_gather_object(parts, mine)
    methods = dict.fromkeys(method for part in parts for method in part)
    return {method: {k: v for part in parts for k, v in part.get(method, {}).items()} for method in methods}
