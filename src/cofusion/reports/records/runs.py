"""The runs below a folder, as their `results.json` and `config.yaml` record them.

Nothing is computed here but means over scenes, and nothing heavy is imported.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cofusion.cluster.state import read_config, read_results
from cofusion.reports.records.contradictions import check_config
from cofusion.reports.records.folders import folders_below
from cofusion.reports.records.recipe import flat, recipe
from cofusion.reports.records.run_checks import UnusableError, check_means, check_results, plain
from cofusion.reports.records.training_record import read_training
from cofusion.reports.tables.spread import is_measured

#: The PSF of a run that was not given one of its own.
PRESETS = "the preset's"
# What was so before runs recorded it.
_BEFORE = {"psf": PRESETS, "hsi_snr": None, "msi_snr": None}


@dataclass(frozen=True)
class Run:
    """A tested run.

    Attributes:
        folder: Its run directory.
        name: What it is called, its path, see `read_runs`.
        results: Its `results.json`.
        config: Its `config.yaml`.
        training: The config that its weights were trained with: its own or, where it tests the checkpoint of
            another run, that one's. None where the method needs no training, or where it cannot be told.
        fit: The `results.json` of that training; its own where there was none.
        trainer: The run directory of that training; its own where there was none.
        twins: Runs of the same weights with the same numbers. They do not count again, but for metrics that
            only they have.
    """

    folder: Path
    name: str
    results: Mapping[str, Any]
    config: Mapping[str, Any]
    training: Mapping[str, Any] | None
    fit: Mapping[str, Any]
    trainer: Path
    twins: tuple["Run", ...] = ()

    @property
    def method(self) -> str:
        """The class of the network or method."""
        return str(_net(self.config)["class_path"]).rpartition(".")[2]

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the class is made with."""
        arguments = _net(self.config).get("init_args")
        return arguments if isinstance(arguments, Mapping) else {}

    @property
    def variant(self) -> str:
        """CoFusion's ablation, or `full`."""
        return str(self.arguments.get("variant", "full"))

    @property
    def seed(self) -> int | None:
        """The seed of the training; None where it is not known, and where nothing is drawn."""
        if self.training is None:
            return None
        given = self.training.get("seed_everything")
        seed = self.fit.get("seed") if given is None or isinstance(given, bool) else given
        return seed if isinstance(seed, int) else None

    @property
    def needs_training(self) -> bool:
        """Whether the method has weights."""
        return bool(self.results.get("parameters"))

    @property
    def tests_itself(self) -> bool:
        """Whether it tested weights that it trained itself."""
        return self.trainer == self.folder

    @property
    def scenes(self) -> Mapping[str, Mapping[str, float | None]]:
        """Metrics of every test scene; None is a value that was not finite."""
        scenes: Mapping[str, Mapping[str, float | None]] = self.results["scenes"]
        return scenes

    @cached_property
    def protocol(self) -> dict[str, Any]:
        """What the pairs and the test depend on; runs that differ here are never put together.

        Results name a response and a data set; their arguments are in the config. So is the blur of a real
        pair whose response is given; without one its sensors are a file's, or estimated.
        """
        kept, settings = protocol(self.results), flat(self.config)
        real = "preset" not in kept and "data.response.class_path" in settings
        if real and "data.preset" in settings:
            kept["preset"] = settings["data.preset"]
        for part in ("response", "scenes", *(["psf"] if real else [])):
            above = f"data.{part}.init_args."
            arguments = {
                key.removeprefix(above): value
                for key, value in settings.items()
                if key.startswith(above) and key != f"{above}root"
            }
            kept |= {f"{part}_arguments": arguments} if arguments else {}
        return kept

    @property
    def dataset(self) -> str:
        """The data set's stem."""
        return str(self.protocol["dataset"])

    @property
    def scale(self) -> int:
        """Ratio of the pixel sizes."""
        return int(self.protocol["scale"])

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """What the numbers depend on beside protocol and seed: flags by dotted key, see `recipe.recipe`."""
        if self.training is not None and self.needs_training:
            return recipe(self.training, self.config, str(self.fit.get("device") or ""))
        net = {key: value for key, value in flat(self.config).items() if key.startswith("model.net.")}
        if not self.needs_training:
            return net
        return {**net, "checkpoint": "/".join(Path(self.results["checkpoint"]).parts[-3:])}

    @cached_property
    def scores(self) -> dict[str, float]:
        """The mean over the scenes of every metric that is a number in all of them."""
        found = [scores(run.scenes, self.scenes) for run in (*self.twins, self)]
        return {metric: value for each in found for metric, value in each.items()}

    @cached_property
    def baselines(self) -> dict[str, dict[str, float]]:
        """The same for the methods measured beside it, as bicubic interpolation."""
        return {
            name: scores(record["scenes"], self.scenes)
            for name, record in (self.results.get("baselines") or {}).items()
        }

    @property
    def incomplete(self) -> list[str]:
        """The metrics that some scene lacks, or that are not a number there; they are left out."""
        every = {metric for values in self.scenes.values() for metric in values}
        return sorted(every - self.scores.keys())


@dataclass(frozen=True)
class LeftOut:
    """A run that no table counts.

    Attributes:
        name: What it is called, its path, see `read_runs`.
        reason: Why, one clause.
    """

    name: str
    reason: str


def read_runs(*folders: Path) -> tuple[list[Run], list[LeftOut]]:
    """Read every run below some folders, these themselves included; one that is reached twice counts once.

    Args:
        folders: Run directories, or folders of them at any depth. Runs of one folder are named by their path
            below it, runs of several by their path below what these have in common.

    Returns:
        The runs that can be used, those of a folder sorted by theirs, and the others with the reason: not
        finished, not tested, stopped before the end of the training, or a record that is damaged or
        contradicts itself.
    """
    runs, left_out = [], []
    for folder, name, names in folders_below(folders):
        if "results.json" not in names:
            if "config.yaml" in names and _names_network(read_config(folder)):
                left_out.append(LeftOut(name, "no results.json: its run has not finished"))
            continue
        try:
            runs.append(read_run(folder, name))
        except UnusableError as error:
            left_out.append(LeftOut(name, str(error)))
    return runs, left_out


def read_run(folder: Path, name: str) -> Run:
    """Read one run.

    Args:
        folder: Its run directory.
        name: What it is called.

    Raises:
        UnusableError: There is nothing to be used.
    """
    results = read_results(folder)
    if results is None:
        raise UnusableError(f"results.json cannot be read: {_json_error(folder / 'results.json')}")
    results = plain(results, "results.json")
    if not results.get("scenes"):
        raise UnusableError("not tested: results.json holds no scene")
    check_results(results)
    config = read_config(folder)
    if config is None:
        raise UnusableError("no config.yaml beside results.json that can be read: the method is not known")
    config = plain(config, "config.yaml")
    if not _names_network(config):
        raise UnusableError("config.yaml names no network (model.net.class_path)")
    check_config(results, config)
    training = read_training(folder, results, config)
    run = Run(folder, name, results, config, training.config, training.results, training.folder)
    if not run.scores:
        raise UnusableError("no metric of it is a number")
    check_means(results, run.scores)
    return run


def protocol(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the pairs and the test of a run depend on.

    Args:
        results: Its `results.json`.
    """
    recorded = results.get("protocol") or {}
    kept = {**_BEFORE, **recorded} if "preset" in recorded else dict(recorded)
    # Of every scene read so far, training scenes among them.
    kept.pop("scenes", None)
    if kept.get("hsi_snr") is None and kept.get("msi_snr") is None:
        kept.pop("noise_seed", None)
    return {**kept, "test_scenes": sorted(results.get("scenes") or ())}


def scores(measured: Mapping[str, Mapping[str, float | None]], scenes: Iterable[str]) -> dict[str, float]:
    """Return the mean over scenes of every metric that is a number in each of them.

    Args:
        measured: `{scene: {metric: value}}`.
        scenes: The scenes that count; a mean over fewer would be one of another test.
    """
    counted = [measured.get(scene, {}) for scene in scenes]
    means = {}
    for metric in counted[0]:
        values = [value for each in counted if is_measured(value := each.get(metric))]
        if len(values) == len(counted):
            means[metric] = math.fsum(values) / len(values)
    return means


def _names_network(config: Mapping[str, Any] | None) -> bool:
    return isinstance(_net(config or {}).get("class_path"), str)


def _net(config: Mapping[str, Any]) -> Mapping[str, Any]:
    model = config.get("model")
    net = model.get("net") if isinstance(model, Mapping) else None
    return net if isinstance(net, Mapping) else {}


def _json_error(path: Path) -> str:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return str(error.strerror)
    except ValueError as error:
        return " ".join(str(error).split())
    except RecursionError:
        return "nested too deeply"
    return "it is no table of keys and values"
