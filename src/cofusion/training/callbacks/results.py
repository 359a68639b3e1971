"""`results.json`: what a run reached, with everything needed to know what was run."""

import json
import math
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, cuda, get_num_threads

from cofusion.files import write_text
from cofusion.machine import package_version, processor, versions
from cofusion.metrics import MAIN_METRICS, NO_REFERENCE_METRICS, mean_scores
from cofusion.reports import metric_table
from cofusion.training.callbacks.scene_figure import method_title, run_dir

FUSED = "fused"
PACKAGES = (
    "torch",
    "lightning",
    "torchmetrics",
    "kornia",
    "PyWavelets",
    "jsonargparse",
    "numpy",
    "scipy",
    "rasterio",
    "wandb",
)

Scenes = Mapping[str, Mapping[str, float]]


class ResultsWriter(Callback):
    """Write `results.json` into the run directory, and print tables of metrics after a test.

    The file is written after testing, and after fitting (also when an error or the user ends it early) with
    what is known then. It holds, for the network, `scenes` (metrics of each test scene; those that need no
    reference are all that a scene without one has) and `mean` (over the scenes), the same for every method
    under `baselines`, and: `epochs_done`, `epochs_planned`, `steps`, `parameters`, `version`, `versions`,
    `commit`, `seed`, `device`, `threads` (of a CPU), `wall_time_s` (of this process), `fit_time_s` (of all
    processes of a resumed run), `protocol` and `checkpoint`. What is not known is null, and so is a value
    that is not finite.

    `metrics.csv` gets the fitting time until each validation as `fit_time_s`.

    A separate `test` takes epochs, steps and times of training from the checkpoint that it tests.

    Args:
        print_table: Print tables of methods and metrics at the end of a test: against the reference, and
            without one.
    """

    def __init__(self, print_table: bool = True) -> None:
        self.print_table = print_table
        # Files may change while a run goes on; what runs is what was imported.
        self._commit = source_commit()
        self._born = time.monotonic()
        self._fit_began: float | None = None
        self._fit: dict[str, Any] = {}
        self._fit_is_ours = False

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: plain values only."""
        return {"epochs_planned": self._fit.get("epochs_planned"), "fit_time_s": self._fit_time()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the planned epochs and the fitting time, unless this process has fitted itself."""
        if not self._fit_is_ours:
            self._fit.update(state_dict)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Learn how far the checkpoint was trained, unless this process has fitted itself."""
        if not self._fit_is_ours:
            self._fit.update(epochs_done=_epochs_done(checkpoint), steps=checkpoint["global_step"])

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        if not trainer.ckpt_path:
            self._fit = {}
        planned = trainer.max_epochs
        self._fit["epochs_planned"] = planned if planned is not None and planned >= 0 else None
        self._fit_is_ours = True
        self._fit_began = time.monotonic()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the time that fitting has taken until this validation, for curves over time."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            pl_module.log("fit_time_s", self._fit_time() or 0.0, rank_zero_only=True)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what fitting reached."""
        self._end_fit(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write how far a fit came that was ended by an error or by the user."""
        if trainer.state.fn == TrainerFn.FITTING and self._fit_began is not None:
            # On a full disk the reason why the run ended is the other exception.
            with suppress(OSError):
                self._end_fit(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write and print the results of the test."""
        if not trainer.is_global_zero:
            return
        results: dict[str, Scenes] = getattr(pl_module, "test_results", {})
        self._write(trainer, pl_module, results)
        if results and self.print_table:
            _print_tables(results, method_title(pl_module))

    def _end_fit(self, trainer: Trainer, module: LightningModule) -> None:
        self._fit.update(
            epochs_done=trainer.fit_loop.epoch_progress.current.completed,
            steps=trainer.global_step,
            fit_time_s=self._fit_time(),
        )
        self._fit_began = None
        if trainer.is_global_zero:
            self._write(trainer, module, {})

    def _fit_time(self) -> float | None:
        earlier: float | None = self._fit.get("fit_time_s")
        if self._fit_began is None:
            return earlier
        return (earlier or 0.0) + time.monotonic() - self._fit_began

    def _write(self, trainer: Trainer, module: LightningModule, results: Mapping[str, Scenes]) -> None:
        data = getattr(trainer, "datamodule", None)
        record = {
            **_summary(results.get(FUSED, {})),
            "baselines": {name: _summary(scenes) for name, scenes in results.items() if name != FUSED},
            "epochs_done": self._fit.get("epochs_done"),
            "epochs_planned": self._fit.get("epochs_planned"),
            "steps": self._fit.get("steps"),
            "parameters": sum(parameter.numel() for parameter in module.parameters()),
            "version": package_version("cofusion"),
            "versions": versions(PACKAGES),
            "commit": self._commit,
            "seed": getattr(module, "seed", getattr(data, "seed", None)),
            "device": _device(trainer),
            "threads": get_num_threads() if trainer.strategy.root_device.type == "cpu" else None,
            "wall_time_s": time.monotonic() - self._born,
            "fit_time_s": self._fit.get("fit_time_s"),
            "protocol": _protocol(data),
            "checkpoint": _checkpoint(trainer),
        }
        write_text(
            run_dir(trainer) / "results.json", json.dumps(_json(record), indent=2, allow_nan=False) + "\n"
        )


def source_commit() -> str | None:
    """Return the commit of the checkout that cofusion runs from, with `-dirty` where files were changed.

    None where it was installed, or where git is not there.
    """
    here = Path(__file__).resolve()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        git(
            "ls-files", "--error-unmatch", here.name
        )  # an environment may lie inside somebody else's checkout
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None


def _summary(scenes: Scenes) -> dict[str, Any]:
    return {"scenes": scenes, "mean": mean_scores(scenes)}


def _epochs_done(checkpoint: Mapping[str, Any]) -> int:
    """Whole epochs behind a checkpoint; `epoch` is the one during or right after which it was saved."""
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    return int(checkpoint["epoch"]) + bool(progress["is_last_batch"])


def _device(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    name = cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} ({processor()})"
    return name if trainer.world_size == 1 else f"{trainer.world_size} x {name}"


def _protocol(datamodule: Any) -> Any:
    protocol = getattr(datamodule, "protocol", {})
    return protocol() if callable(protocol) else protocol


def _checkpoint(trainer: Trainer) -> str | None:
    """The tested checkpoint or, after fitting, the best one; relative where it lies in the run directory."""
    path = trainer.ckpt_path
    if trainer.state.fn == TrainerFn.FITTING:
        path = getattr(trainer.checkpoint_callback, "best_model_path", None)
    if not path:
        return None
    full, root = Path(path).resolve(), run_dir(trainer).resolve()
    return str(full.relative_to(root)) if full.is_relative_to(root) else str(full)


def _json(value: Any) -> Any:
    """Make plain JSON values: what is not finite becomes null, what is unknown its text."""
    if isinstance(value, Tensor):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if isinstance(value, bool | int | str | None) else str(value)


def _print_tables(results: Mapping[str, Scenes], network: str) -> None:
    """Print the metrics against the reference and those without one, as far as there are any."""
    from rich.console import Console

    means = {network if name == FUSED else name: mean_scores(scenes) for name, scenes in results.items()}
    scenes = len(results.get(FUSED, {}))
    what = "1 scene" if scenes == 1 else f"mean over {scenes} scenes"
    for metrics, title in ((MAIN_METRICS, what), (NO_REFERENCE_METRICS, f"{what}, without a reference")):
        rows = {name: {key: mean[key] for key in metrics if key in mean} for name, mean in means.items()}
        if any(rows.values()):
            Console().print(metric_table(rows, title))
