"""The verbs fit, validate, test and predict: one thin `LightningCLI`."""

import importlib
import inspect
import itertools
import os
import re
import sys
from argparse import ArgumentError
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException

from cofusion import __version__
from cofusion.cli import TerminatedError, UsageError
from cofusion.configs import expand_configs, explain, read_config, run_name
from cofusion.console import Bar, quiet, say
from cofusion.data import FusionDataModule, PairDataModule, RealPairDataModule
from cofusion.errors import UserError
from cofusion.files import write_text
from cofusion.run_dir import run_directory
from cofusion.training import FusionModule
from cofusion.training.callbacks import PredictionWriter, ResultsWriter
from cofusion.training.checkpoints import (
    BEST,
    LAST,
    AtomicCheckpointIO,
    check_fits,
    checkpoint_callbacks,
    differences,
    find_checkpoint,
    latest_checkpoint,
    read_checkpoint,
    remove_leftovers,
)
from cofusion.training.csv_log import MetricsLog
from cofusion.training.requeue import Requeue, in_slurm_job

# What the data knows, the network is built with; a network without such an argument is left alone.
_LINKS = ("scale", "hsi_bands", "msi_bands", "phase")
# Settings of one start of a run; its saved config describes the run itself.
_NOT_SAVED = ("config", "run_dir", "ckpt_path", "trainer.default_root_dir")
_SEED = 3407


def run(verb: str, args: list[str]) -> None:
    """Run a verb.

    Args:
        verb: `fit`, `validate`, `test` or `predict`.
        args: The arguments after it.

    Raises:
        UsageError: The arguments or a config cannot be understood.
        UserError: What they ask for cannot be done.
        TerminatedError: SIGTERM came while it ran; the batch at work is the last.
    """
    with quiet(), ExitStack() as stack:
        stack.push(_finish_wandb)
        try:
            FusionCLI(verb, args, stack).run()
        except MisconfigurationException as error:
            raise UserError(str(error)) from error
        except SIGTERMException:
            # Lightning's own would end the process as if all were done.
            raise TerminatedError(
                "stopped by SIGTERM; fit goes on with --run_dir DIR --ckpt_path last"
            ) from None
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"not enough GPU memory; lower data.batch_size or data.patch ({error})"
            ) from error


def _finish_wandb(kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
    """End a W&B run with its verb, as failed where that failed; another verb may follow in this process."""
    wandb: Any = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        # The run directory is complete without it.
        try:
            wandb.finish(exit_code=int(error is not None))
        except Exception:
            # Its process is gone, and what it would still do at the end of this one can only fail loudly.
            with suppress(Exception, SystemExit):
                wandb.teardown()


class FusionCLI(LightningCLI):
    """Parse configs and flags, build trainer, module and data, and run one verb in a run directory.

    Args:
        verb: `fit`, `validate`, `test` or `predict`.
        args: Arguments after the verb.
        stack: Closed by the caller when the verb is done.
    """

    def __init__(self, verb: str, args: list[str], stack: ExitStack) -> None:
        self.verb = verb
        self.stack = stack
        self.run_dir: Path
        self.ckpt_path: Path | None = None
        self.steps_done = 0
        super().__init__(
            FusionModule,
            _data_class(args),
            save_config_callback=SaveConfig,
            save_config_kwargs={"save_to_log_dir": False},
            seed_everything_default=_SEED,
            parser_kwargs={
                "prog": f"cofusion {verb}",
                "description": "A config is a YAML file or the name of a shipped one; later ones win.",
                "dump_header": [f"cofusion=={__version__}"],
                "exit_on_error": False,
            },
            args=args,
            run=False,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what belongs to a run rather than to its parts."""
        text = str | None
        parser.add_argument("--seed_everything", type=int, default=_SEED, help="Seed of all that is random.")
        parser.add_argument("--name", type=text, help="Name of the run (default: after its configs).")
        parser.add_argument(
            "--run_dir", type=text, help=f"Run directory (default: the next free runs/NAME/{self.verb}_N)."
        )
        parser.add_argument(
            "--ckpt_path",
            type=text,
            help="Checkpoint file or run directory, or 'best' or 'last' of --run_dir; fit goes on from it.",
        )
        parser.add_argument(
            "--test_after_fit", type=bool, default=True, help="Whether fit tests the best weights at the end."
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Link the parts; a linked value is set in one place only."""
        for name in _LINKS:
            parser.link_arguments(f"data.{name}", f"model.net.init_args.{name}", apply_on="instantiate")
        parser.link_arguments("seed_everything", "data.seed")
        parser.link_arguments("seed_everything", "model.seed")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse into `self.config`."""
        args, configs = expand_configs(args)
        try:
            self.config = parser.parse_args(args)
            self.config.name = self.config.name or run_name(configs)
        except ArgumentError as error:
            raise UsageError(explain(error, parser, bool(configs))) from None
        _check_links(self.config.model.net)

    def before_instantiate_classes(self) -> None:
        """Find the checkpoint and make the run directory, before anything slow happens."""
        config = self.config
        self.save_config_kwargs["as_given"] = config.clone()
        self.ckpt_path = self._find_checkpoint()
        resume = self.verb == "fit" and config.ckpt_path is not None
        self.run_dir = self.stack.enter_context(run_directory(self.verb, config.name, config.run_dir, resume))
        config.trainer.default_root_dir = str(self.run_dir)
        if resume:
            remove_leftovers(self.run_dir)
        for logger in _as_list(config.trainer.logger or None):
            _point_logger(logger, self.run_dir, {**_labels(config), "job_type": self.verb})

    def _find_checkpoint(self) -> Path | None:
        given, run_dir = self.config.ckpt_path, self.config.run_dir
        if given is None:
            return None
        if given not in ("best", "last"):
            return find_checkpoint(given, LAST if self.verb == "fit" else BEST)
        if run_dir is None:
            raise UserError(f"--ckpt_path {given} needs the directory of the run: --run_dir DIR")
        directory = Path(run_dir).expanduser()
        path = directory / "checkpoints" / f"{given}.ckpt"
        found = latest_checkpoint(directory) if path.name == LAST else path if path.is_file() else None
        if found is None and self.verb != "fit":
            return find_checkpoint(path)
        # Without one, fit begins: a job that is queued again starts and goes on by the same command.
        return found

    def instantiate_classes(self) -> None:
        """Build data, module and trainer; what a constructor rejects is the user's error."""
        try:
            super().instantiate_classes()
        except UserError:
            raise
        except ValueError as error:
            raise UserError(str(error)) from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer with what every run directory holds."""
        config = self.config_init.trainer
        self._check_checkpoint()
        kwargs["logger"] = self._loggers(config.logger)
        kwargs["plugins"] = [*_as_list(config.plugins), AtomicCheckpointIO()]
        callbacks = _as_list(config.callbacks)
        if config.enable_progress_bar is not False and not any(isinstance(c, ProgressBar) for c in callbacks):
            callbacks.insert(0, Bar())
        kwargs["callbacks"] = [*callbacks, ResultsWriter(), PredictionWriter()]
        if self.verb != "fit":
            kwargs["enable_checkpointing"] = False
        elif config.enable_checkpointing is not False:
            if in_slurm_job():
                kwargs["callbacks"].append(self._requeue())
            kwargs["callbacks"] += checkpoint_callbacks()
        return super().instantiate_trainer(**kwargs)

    def _requeue(self) -> Requeue:
        goes_on = bool(self.config.run_dir) and self.config.ckpt_path == "last"
        requeue = Requeue(self.run_dir / "checkpoints" / LAST, goes_on)
        return self.stack.enter_context(requeue.listening())

    def _loggers(self, given: Any) -> list[Logger]:
        if given is False:
            return []
        return [MetricsLog(self.run_dir, self.steps_done), *_as_list(given)]

    def _check_checkpoint(self) -> None:
        if self.ckpt_path is None:
            if self.verb != "fit" and any(True for _ in self.model.net.parameters()):
                raise UserError(
                    f"`cofusion {self.verb}` needs trained weights: --ckpt_path FILE or RUN_DIRECTORY"
                )
            return
        checkpoint = read_checkpoint(self.ckpt_path)
        check_fits(checkpoint, self.model.net, self.ckpt_path)
        for difference in differences(checkpoint, self.model.net):
            say(f"note: {difference}; the weights fit all the same")
        if self.verb == "fit" and "optimizer_states" not in checkpoint:
            raise UserError(
                f"{self.ckpt_path} holds weights alone; fit can only go on from a run's checkpoint"
            )
        self.steps_done = checkpoint.get("global_step", 0)

    def run(self) -> None:
        """Run the verb."""
        say(f"run directory: {self.run_dir}")
        if self.verb == "fit":
            self._fit()
        else:
            self.datamodule.setup(self.verb)
            self._evaluate(self.verb, self.ckpt_path)
        say(f"everything about this run: {self.run_dir}")

    def _fit(self) -> None:
        test = self.config.test_after_fit and not self.config.trainer.fast_dev_run
        # A scene that cannot be read stops the run now: not after W&B was started, nor after the training.
        for stage in ("fit", "test") if test else ("fit",):
            self.datamodule.setup(stage)
        self._say_batch()
        self.trainer.fit(self.model, datamodule=self.datamodule, ckpt_path=self.ckpt_path, weights_only=True)
        if test:
            checkpoints = [self.run_dir / "checkpoints" / name for name in (BEST, LAST)]
            self._evaluate("test", next((path for path in checkpoints if path.is_file()), None))

    def _say_batch(self) -> None:
        world, batch = self.trainer.world_size, self.datamodule.batch_size
        if world > 1:
            step = world * batch * self.trainer.accumulate_grad_batches
            say(f"{world} processes: {step} crops a step; the learning rate is as configured, for any number")

    def _evaluate(self, verb: str, ckpt_path: Path | None) -> None:
        extra = {"return_predictions": False} if verb == "predict" else {"verbose": verb == "validate"}
        getattr(self.trainer, verb)(
            self.model, datamodule=self.datamodule, ckpt_path=ckpt_path, weights_only=True, **extra
        )


def _data_class(args: list[str]) -> type[PairDataModule]:
    """Tell from the settings of `data` whether they are those of a real pair."""
    words, _ = expand_configs(args)
    given = {re.split(r"[.=]", word)[1] for word in words if word.startswith("--data.")}
    for flag, path in itertools.pairwise(words):
        if flag == "--config":
            given |= set(read_config(Path(path)).get("data") or ())
    known, others = (
        inspect.signature(module).parameters for module in (RealPairDataModule, FusionDataModule)
    )
    return RealPairDataModule if given & (set(known) - set(others)) else FusionDataModule


class SaveConfig(SaveConfigCallback):
    """Write the resolved config to `config.yaml`, which repeats the run, and give it to the loggers.

    Args:
        args: Of `SaveConfigCallback`.
        as_given: The config without what this start of the run added to it.
        kwargs: Of `SaveConfigCallback`.
    """

    def __init__(self, *args: Any, as_given: Namespace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.as_given = as_given

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Save the config; only the first process does."""
        config: Namespace = self.as_given.clone()
        for key in _NOT_SAVED:
            config.pop(key, None)
        text = self.parser.dump(config)
        write_text(Path(trainer.default_root_dir) / "config.yaml", text)
        for logger in trainer.loggers:
            if not isinstance(logger, MetricsLog):
                logger.log_hyperparams(yaml.safe_load(text))


def _point_logger(logger: Namespace, run_dir: Path, labels: dict[str, Any]) -> None:
    """Let a configured logger such as W&B's write into the run directory, under the run's labels."""
    init_args = logger.get("init_args") or {}
    if "save_dir" in init_args:
        init_args["save_dir"] = str(run_dir)
    for key, value in labels.items():
        if key in init_args and init_args[key] is None:
            init_args[key] = value


def _labels(config: Namespace) -> dict[str, Any]:
    """What W&B lists a run by: `cave_x4-full-seed3407`, in the group of its sweep or of its configs."""
    net = config.model.net
    variant = (net.get("init_args") or {}).get("variant")
    # The name of a config such as ablation/no_spacam.yaml is that of its variant.
    named = [variant] if variant and not config.name.endswith(f"-{variant}") else []
    scenes, scale = config.data.get("scenes"), config.data.scale
    return {
        "name": "-".join([config.name, *named, f"seed{config.seed_everything}"]),
        "group": os.environ.get("WANDB_RUN_GROUP") or config.name,
        "tags": [
            _import(scenes.class_path).stem if scenes else "real_pair",
            *([f"x{scale}"] if scale else []),
            net.class_path.rpartition(".")[2],
        ],
    }


def _import(class_path: str) -> Any:
    module, _, name = class_path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _check_links(net: Namespace) -> None:
    """Refuse a value for what the data decide: the link would replace it without a word."""
    parameters = inspect.signature(_import(net.class_path)).parameters
    for argument, value in (net.get("init_args") or {}).items():
        if argument in _LINKS and value not in (None, parameters[argument].default):
            raise UsageError(
                f"model.net's {argument} comes from data.{argument}; {value!r} would have no effect"
            )


def _as_list(value: Any) -> list[Any]:
    if value is None or value is True:
        return []
    return list(value) if isinstance(value, list) else [value]
