"""The JSON beside a network's weights: what is needed to make the network again."""

import inspect
import json
from dataclasses import asdict, dataclass, make_dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import nn

from cofusion.models.describe import class_path, describe
from cofusion.models.provenance import Provenance

FORMAT = 1

# Every field must be known, there and of its type: nothing is converted or left out.
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
# A file of another kind has everything wrong; the first few say so.
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Record:
    """What `model.json` holds.

    Attributes:
        format: Number of the format, `FORMAT`.
        class_path: Dotted path of the network's class.
        sha256: SHA-256 of the file with the weights, in hexadecimal.
        init_args: Every argument of the class's constructor.
        provenance: Where the weights come from.
        half: Whether the weights were rounded to half precision.
    """

    __pydantic_config__ = _STRICT

    format: int = FORMAT
    class_path: str
    sha256: str
    init_args: dict[str, Any]
    provenance: Provenance
    half: bool = False


def write_record(net: nn.Module, sha256: str, provenance: Provenance, half: bool = False) -> str:
    """Return the text of a network's `model.json`.

    Args:
        net: The network.
        sha256: SHA-256 of the file with its weights, in hexadecimal.
        provenance: Where the weights come from.
        half: Whether they were rounded to half precision.

    Raises:
        ValueError: A value that JSON does not have.
    """
    record = Record(**describe(net), sha256=sha256, provenance=provenance, half=half)
    try:
        return json.dumps(asdict(record), indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ValueError(f"the provenance holds a value that JSON does not have ({error})") from None


def read_record(text: bytes, cls: type[nn.Module], path: Path) -> Record:
    """Read the text of a `model.json`.

    Args:
        text: What the file holds.
        cls: The class that is to be made from it.
        path: The file, for messages.

    Raises:
        ValueError: It is no JSON, of another format or class, an argument or field is missing, unknown or of
            another type, or the provenance is at odds with the network.
    """
    content = _parse(text, path)
    for key, expected in {"format": FORMAT, "class_path": class_path(cls)}.items():
        if content.get(key) != expected:
            raise ValueError(f"{path} has {key} {content.get(key)!r}, expected {expected!r}")
    record: Record = _checked(Record, content, path)
    _checked(_arguments(cls), record.init_args, path)
    _check_agreement(record, path)
    return record


def _parse(text: bytes, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is truncated or not JSON ({error}); expected one JSON object") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a JSON {type(content).__name__}, expected one JSON object")
    return content


def _arguments(cls: type[nn.Module]) -> type:
    """Return a dataclass with a class's constructor arguments as fields; none may be left to its default."""
    parameters = inspect.signature(cls, eval_str=True).parameters.values()
    fields = [(p.name, Any if p.annotation is p.empty else p.annotation) for p in parameters]
    return make_dataclass(cls.__name__, fields, namespace={"__pydantic_config__": _STRICT})


def _checked(kind: type, content: dict[str, Any], path: Path) -> Any:
    try:
        # From JSON, where a list may stand for a tuple even if nothing else is converted.
        return TypeAdapter(kind).validate_json(json.dumps(content))
    except ValidationError as error:
        raise ValueError(f"{path}: {'; '.join(_sentences(kind, error))}") from None


def _sentences(kind: type, error: ValidationError) -> list[str]:
    found = []
    for problem in error.errors():
        name = ".".join(map(str, problem["loc"]))
        match problem["type"]:
            case "missing":
                found.append(f"{kind.__name__}'s {name} is missing")
            case "unexpected_keyword_argument":
                found.append(f"{kind.__name__} has no {name}")
            case _:
                found.append(f"{name} is {problem['input']!r}: {problem['msg']}")
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return [*found[:_SHOWN], *more]


def _check_agreement(record: Record, path: Path) -> None:
    """What both the network and the provenance name is the same, where it is known."""
    for name, value in asdict(record.provenance).items():
        if name in record.init_args and value not in (None, record.init_args[name]):
            raise ValueError(
                f"{path}: {name} is {record.init_args[name]!r} in init_args and {value!r} in the provenance"
            )
