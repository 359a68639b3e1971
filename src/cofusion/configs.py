"""Finding and composing config files, and saying what is wrong with them."""

import difflib
import re
from argparse import ArgumentError, ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from cofusion.errors import UserError
from cofusion.resources import find_resource, resource_dir


def find_config(name: str, beside: Path | None = None) -> Path:
    """Find a config file.

    Args:
        name: A path, or a shipped config with or without `.yaml`: `cave_x4`, `ablation/no_spacam.yaml`.
        beside: The folder to look in before the shipped configs; the current one where left out.

    Raises:
        UserError: No such file and no such shipped config; the message lists what ships and the closest name.
    """
    if beside is not None and (beside / name).is_file():
        return beside / name
    try:
        return find_resource("configs", name, ".yaml")
    except UserError as error:
        shipped = resource_dir("configs")
        names = [str(path.relative_to(shipped).with_suffix("")) for path in shipped.rglob("*.yaml")]
        close = difflib.get_close_matches(name.removesuffix(".yaml"), names, n=1)
        hint = f"; did you mean {close[0]}.yaml?" if close else ""
        raise UserError(f"{error}{hint}") from None


def expand_configs(args: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Turn the `--config NAME`s among command line arguments into paths, each after those it builds on.

    A config's own top-level list `config: [BASE.yaml, ...]` is the same as giving these files before it. They
    are looked for beside the config and then among the shipped ones. `--model NAME.yaml` is the same as
    `--config NAME.yaml`, for an overlay of nothing but the model.

    Args:
        args: Arguments of a verb.

    Returns:
        The arguments with one `--config PATH` per file, and the configs that were given.

    Raises:
        UserError: A config that does not exist, is not YAML or builds on itself.
    """
    expanded: list[str] = []
    given: list[Path] = []
    rest = iter(args)
    for arg in rest:
        flag, _, name = arg.partition("=")
        if flag not in ("-c", "--config", "--model"):
            expanded.append(arg)
            continue
        path = find_config(name or next(rest, ""))
        if flag == "--model" and set(read_config(path)) != {"model"}:
            raise UserError(f"--model {path}: expected settings of the model alone; give it with --config")
        given.append(path)
        expanded += [word for file in _with_bases(path) for word in ("--config", str(file))]
    return expanded, given


def run_name(configs: Sequence[Path]) -> str:
    """Name a run after its configs: `cave_x4`, or `cave_x4-no_spacam` with an overlay.

    Overlays of `logger/`, `record/` and `topology/` say where a run is tracked, what else it writes and where
    it is computed, not what it is.
    """
    around = ("logger", "record", "topology")
    return "-".join(path.stem for path in configs if path.parent.name not in around) or "run"


def explain(error: ArgumentError, parser: ArgumentParser, configured: bool) -> str:
    """Make one helpful line of a parser's error.

    Args:
        error: What the parser raised.
        parser: The parser, for the names that it knows.
        configured: Whether a config was given.
    """
    message = re.sub(r"<class '([\w.]+)'>", r"\1", str(error))
    if not configured:
        return f"{message}; no --config was given, for example --config quickstart.yaml"
    unknown = re.search(r"(?:unrecognized arguments: --|[Oo]ption ')([\w.]+)", message)
    if unknown is None:
        return message
    group = re.search(r"Group '([\w.]+)'", message)
    key = f"{group[1]}.{unknown[1]}" if group else unknown[1]
    close = difflib.get_close_matches(key, [action.dest for action in parser._actions], n=1)
    return f"{message}; did you mean {close[0]}?" if close else message


def _with_bases(path: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    path = path.resolve()
    if path in above:
        raise UserError(f"config {path} builds on itself through {above[-1]}")
    bases = [find_config(base, beside=path.parent) for base in _read_bases(path)]
    return [*(file for base in bases for file in _with_bases(base, (*above, path))), path]


def read_config(path: Path) -> dict[str, Any]:
    """Read one config file, without those it builds on.

    Raises:
        UserError: It is not YAML or holds no settings.
    """
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"config {path} is not valid YAML: {error}") from None
    if not isinstance(settings, dict):
        raise UserError(f"config {path} holds no settings; expected lines of 'key: value'")
    return settings


def _read_bases(path: Path) -> list[str]:
    bases = read_config(path).get("config") or []
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise UserError(f"config {path}: expected a list of files under 'config', got {bases!r}")
    return bases
