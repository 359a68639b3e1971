"""What a network is, in plain values: its class, its constructor's arguments, its tensors."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

_PLAIN = (bool, int, float, str, type(None))
# Enough to see what is wrong; a network has hundreds of tensors.
_SHOWN = 3


def describe(net: nn.Module) -> dict[str, Any]:
    """Name a network's class and those constructor arguments that it keeps as plain attributes.

    Args:
        net: Any network; an argument is found where the attribute of the same name holds it.

    Returns:
        `{"class_path": "package.module.Class", "init_args": {name: value}}`.
    """
    names = inspect.signature(type(net)).parameters
    kept = {name: getattr(net, name) for name in names if hasattr(net, name)}
    return {
        "class_path": class_path(type(net)),
        "init_args": {name: value for name, value in kept.items() if _is_plain(value)},
    }


def class_path(cls: type) -> str:
    """Return the dotted path of a class, as configs write it."""
    return f"{cls.__module__}.{cls.__qualname__}"


def tensor_differences(ours: Mapping[str, str], theirs: Mapping[str, str], there: str) -> list[str]:
    """Say in what two sets of tensors differ: `head.weight has shape (8, 3) here, (12, 3) in the checkpoint`.

    Args:
        ours: Name and shape of each tensor as expected, for example `(8, 3)`.
        theirs: The same as found.
        there: Where they were found, for example `in the checkpoint`.

    Returns:
        The first few differences and the number of the others; empty where there is none.
    """
    shapes = [
        f"{name} has shape {ours[name]} here, {theirs[name]} {there}"
        for name in ours
        if name in theirs and ours[name] != theirs[name]
    ]
    missing = [f"{name} is not {there}" for name in ours if name not in theirs]
    extra = [f"{name} is only {there}" for name in theirs if name not in ours]
    found = [*shapes, *missing, *extra]
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return [*found[:_SHOWN], *more]


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return isinstance(value, _PLAIN)
