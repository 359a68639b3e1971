"""The sweep file: W&B's own format, read without W&B."""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from cofusion.cluster.parameters import Parameter, draws, flatten, grid
from cofusion.cluster.trial import Trial, trial_name
from cofusion.configs import find_config
from cofusion.errors import UserError

_ARGS = "${args}"
_DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", _ARGS)
# What a launcher sets for every trial.
OURS = ("--run_dir", "--ckpt_path", "--name")
# What the name of every run in W&B ends in.
_IN_EVERY_NAME = ("model.net.variant", "model.net.init_args.variant", "seed_everything")

# Keys that `wandb sweep` accepts and that mean nothing without its server.
_SERVERS = frozenset(
    (
        *("description", "metric", "metrics", "project", "entity", "early_terminate"),
        *("apiVersion", "kind", "controller", "scheduler", "job", "image_uri"),
    )
)


class _File(BaseModel):
    """The keys that count here."""

    model_config = ConfigDict(extra="forbid")

    method: Literal["grid", "random", "bayes", "custom"]
    parameters: dict[str, Parameter]
    command: list[Any] | None = None
    name: str | None = None
    program: str | None = None
    run_cap: int | None = None


@dataclass(frozen=True)
class Sweep:
    """A sweep as its file describes it.

    Attributes:
        path: The file.
        name: Its `name`, or the file's stem; names the folder of its trials and the group in W&B.
        parameters: By dotted key.
        command: Arguments of the `cofusion` command before those of a trial, from `fit` on.
        count: Trials of a random search, or the largest number of a grid's; None is all of a grid.
        random: Whether values are drawn.
    """

    path: Path
    name: str
    parameters: dict[str, Parameter]
    command: tuple[str, ...]
    count: int | None
    random: bool

    @cached_property
    def varied(self) -> list[str]:
        """The keys that have more than a fixed value."""
        return [key for key, parameter in self.parameters.items() if parameter.kind() != "constant"]

    def trials(self) -> list[Trial]:
        """Return the trials, each once, in the file's order."""
        if self.random:
            combinations = draws(self.parameters, self.count or 0, self.name)
        else:
            combinations = grid(self.parameters)[: self.count]
        by_name: dict[str, dict[str, Any]] = {}
        for values in combinations:
            by_name.setdefault(self._name(values, self.varied), values)
        labels = [key for key in self.varied if key not in _IN_EVERY_NAME]
        return [
            Trial(
                index,
                name,
                self._name(values, labels) if labels else "",
                values,
                (*self.command, *(_flag(key, value) for key, value in values.items() if key == "config")),
                tuple(_flag(key, value) for key, value in values.items() if key != "config"),
            )
            for index, (name, values) in enumerate(by_name.items())
        ]

    def _name(self, values: Mapping[str, Any], keys: Sequence[str]) -> str:
        return trial_name({key: values[key] for key in keys})

    def check_flags(self, flags: Sequence[str]) -> None:
        """Refuse flags for every trial that would have no effect, or let trials share a run directory.

        Raises:
            UserError: There is one.
        """
        _check_ours(flags, "after --")
        for flag in flags:
            key = flag.partition("=")[0].removeprefix("--")
            if key in self.parameters and key != "config":
                raise UserError(
                    f"after --: {key} is a parameter of {self.path.name}, which sets it; leave it out"
                )


def read_sweep(name: str) -> Sweep:
    """Read a sweep file.

    Args:
        name: A path, or the name of a shipped one: `sweep/ablation.yaml`.

    Raises:
        UserError: There is no such file, or it describes no sweep that can be run here.
    """
    path = find_config(name)
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(given, dict):
            given = {key: value for key, value in given.items() if key not in _SERVERS}
        file = _File.model_validate(given)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"sweep file {path} is not valid YAML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"sweep file {path}: {where}: {first['msg']}") from None
    if file.method not in ("grid", "random"):
        raise UserError(
            f"sweep file {path}: method {file.method} needs W&B's server (`wandb sweep`); "
            f"without it there are grid and random"
        )
    if file.method == "random" and file.run_cap is None:
        raise UserError(f"sweep file {path}: a random search needs run_cap, the number of its trials")
    if file.run_cap is not None and file.run_cap < 1:
        raise UserError(f"sweep file {path}: run_cap must be at least 1, got {file.run_cap}")
    parameters = flatten(file.parameters)
    _check_parameters(path, parameters, file.method)
    return Sweep(
        path=path.resolve(),
        name=_folder_name(path, file.name or path.stem),
        parameters=parameters,
        command=_fit_command(path, file),
        count=file.run_cap,
        random=file.method == "random",
    )


def _flag(key: str, value: Any) -> str:
    """Write a value as W&B's agent does, in a way that YAML reads."""
    return f"--{key}={value if isinstance(value, str) else json.dumps(value)}"


def _check_ours(arguments: Sequence[str], where: str) -> None:
    """Refuse flags that would let trials share a run directory.

    Raises:
        UserError: There is one.
    """
    for argument in arguments:
        if argument.partition("=")[0] in OURS:
            raise UserError(f"{where}: {argument.partition('=')[0]} is set for every trial; leave it out")


def _check_parameters(path: Path, parameters: dict[str, Parameter], method: str) -> None:
    if not parameters:
        raise UserError(f"sweep file {path}: parameters is empty; expected at least one")
    for key, parameter in parameters.items():
        try:
            parameter.every() if method == "grid" else parameter.kind()
        except ValueError as error:
            raise UserError(f"sweep file {path}: parameter {key}: {error}") from None
    _check_ours([f"--{key}" for key in parameters], f"sweep file {path}")


def _folder_name(path: Path, name: str) -> str:
    if not re.fullmatch(r"[\w.+-]+( [\w.+-]+)*", name) or name.startswith("."):
        raise UserError(f"sweep file {path}: name {name!r} names a folder; use letters, digits, - and _")
    return name.replace(" ", "_")


def _fit_command(path: Path, file: _File) -> tuple[str, ...]:
    """Return the command's arguments from `fit` on."""
    words = [str(word) for word in (file.command or _DEFAULT_COMMAND)]
    if words[-1] != _ARGS or _ARGS in words[:-1]:
        raise UserError(f"sweep file {path}: command must end in {_ARGS}, got {' '.join(words)}")
    known = {"${env}": "/usr/bin/env", "${interpreter}": sys.executable, "${program}": file.program or ""}
    words = [_fill(known.get(word, word)) for word in words[:-1]]
    program = next((n for n, word in enumerate(words) if Path(word).name == "cofusion"), None)
    if program is None or words[program + 1 : program + 2] != ["fit"]:
        raise UserError(
            f"sweep file {path}: expected command: [cofusion, fit, --config, NAME.yaml, '{_ARGS}'], "
            f"got {' '.join([*words, _ARGS])}"
        )
    _check_ours(words, f"sweep file {path}")
    return tuple(words[program + 1 :])


def _fill(word: str) -> str:
    """Fill in variables of the environment as W&B does: an unknown one stands for its name."""
    return re.sub(r"\$\{envvar:([A-Z0-9_]*)\}", lambda match: os.environ.get(match[1], match[1]), word)
