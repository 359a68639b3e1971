"""One trial of a sweep: its name, its values, its command."""

import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Longer than this, a name is cut; file systems allow 255 bytes.
_LONGEST = 150


@dataclass(frozen=True)
class Trial:
    """One combination of a sweep's values.

    Attributes:
        index: Its place in the sweep, from 0.
        name: Names its run directory; a function of the varied values alone.
        label: Likewise, without variant and seed, which the name of any run in W&B holds; "" where no other
            value varies.
        values: By dotted key, the constant ones too.
        before: Arguments of the `cofusion` command from `fit` on: the sweep's own, and a config's.
        after: Flags for the other values. They come last, so that no config replaces them.
    """

    index: int
    name: str
    label: str
    values: dict[str, Any]
    before: tuple[str, ...]
    after: tuple[str, ...]

    def arguments(self, flags: Sequence[str] = ()) -> list[str]:
        """Return the arguments of the `cofusion` command, with more flags, which win over the sweep's own."""
        return [*self.before, *flags, *self.after]

    def command(self, sweep: str, run_dir: Path, flags: Sequence[str] = ()) -> list[str]:
        """Return the command that starts the trial, or goes on with it where it stopped.

        Args:
            sweep: The sweep's name, with which the run's begins.
            run_dir: The trial's run directory.
            flags: As for `arguments`.
        """
        name = f"{sweep}-{self.label}" if self.label else sweep
        ours = [f"--name={name}", f"--run_dir={run_dir}", "--ckpt_path=last"]
        return [sys.executable, "-m", "cofusion", *self.arguments(flags), *ours]


def trial_name(varied: Mapping[str, Any]) -> str:
    """Name a trial after its varied values: `variant=no_spacam,seed_everything=1`.

    The name depends on nothing else, so a sweep that grows keeps the names of what it has. Where it
    cannot hold the values in full, six digits of their checksum keep it unique.

    Args:
        varied: Values by dotted key.
    """
    if not varied:
        return "only"
    keys = short_keys(list(varied))
    name = ",".join(f"{keys[key]}={_word(value)}" for key, value in sorted(varied.items()))
    if len(name) <= _LONGEST and all(_exact(value) for value in varied.values()):
        return name
    return f"{name[:_LONGEST]}-{_checksum(varied)}"


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Shorten dotted keys to their last parts, as many as keep them apart."""
    parts = {key: [part for part in key.split(".") if part != "init_args"] or [key] for key in keys}
    short: dict[str, str] = {}
    for key in keys:
        others = [parts[other] for other in keys if other != key]
        mine = parts[key]
        length = next((n for n in range(1, len(mine)) if all(o[-n:] != mine[-n:] for o in others)), len(mine))
        short[key] = ".".join(mine[-length:])
    return short


def short_value(value: Any) -> str:
    """Write a value for people: a config without `.yaml`, a class without its package."""
    if isinstance(value, Mapping) and "class_path" in value:
        value = value["class_path"]
    text = value if isinstance(value, str) else json.dumps(value)
    text = text.removesuffix(".yaml")
    return text.rpartition(".")[2] if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", text) else text


def _word(value: Any) -> str:
    text = value if isinstance(value, str) else short_value(value)
    return re.sub(r"[^\w.+-]+", "_", text, flags=re.ASCII).strip("_")


def _exact(value: Any) -> bool:
    return (value if isinstance(value, str) else json.dumps(value)) == _word(value)


def _checksum(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:6]
