"""Trained networks as directories that travel: `model.safetensors` and `model.json`."""

import hashlib
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from cofusion.files import whole_file
from cofusion.models.describe import tensor_differences
from cofusion.models.provenance import Provenance
from cofusion.models.record import Record, read_record, write_record
from cofusion.resources import resource_dir

WEIGHTS, RECORD = "model.safetensors", "model.json"

Net = TypeVar("Net", bound="Pretrained")


class Pretrained(nn.Module):
    """A network that can be written to a directory and made again from it.

    A subclass keeps every argument of its constructor as a plain attribute of the same name.

    The directory holds the tensors of the state dict, as safetensors, and a JSON with the number of the
    format, the class, the constructor's arguments, the provenance and the SHA-256 of the tensors' file.
    Reading them runs no code from them.

    Attributes:
        provenance: Where the weights come from; None unless `from_pretrained` made the network.
    """

    provenance: Provenance | None = None

    def save_pretrained(self, directory: str | Path, provenance: Provenance, *, half: bool = False) -> None:
        """Write the network to a directory, in the place of one that was written there before.

        Each file appears whole or not at all; of a process that is killed between the two, `from_pretrained`
        refuses the pair.

        Args:
            directory: The directory; made where it is missing.
            provenance: Where the weights come from.
            half: Round the weights to half precision: half the size, and 11 significant bits.

        Raises:
            ValueError: `from_pretrained` would refuse what was to be written, so nothing was: an argument of
                the constructor that is not kept, other tensors than a new network of the class has, a
                provenance of other types or at odds with the network, or weights too large for half
                precision.
            OSError: The directory cannot be written.
        """
        directory = Path(directory).expanduser()
        try:
            weights = _pack(self.state_dict(), half)
            record = write_record(self, _sha256(weights), provenance, half)
            _restore(type(self), directory, record.encode(), weights)
        except ValueError as error:
            raise ValueError(f"{type(self).__name__} cannot be saved: {error}") from None
        with whole_file(directory / WEIGHTS) as weights_part, whole_file(directory / RECORD) as record_part:
            weights_part.write_bytes(weights)
            record_part.write_text(record, encoding="utf-8")

    @classmethod
    def from_pretrained(cls, directory: str | Path) -> Self:
        """Make a network from a directory that `save_pretrained` wrote.

        Args:
            directory: The directory, or the name of shipped weights such as `cave_x4`.

        Returns:
            The network in evaluation mode on the CPU, its state dict bit for bit as saved (weights that were
            saved in half precision, as rounded); its `provenance` says where the weights come from.

        Raises:
            ValueError: Anything but such a directory of this class; the message names the file, what it
                holds and what was expected.
            OSError: A file that cannot be opened.
        """
        directory = find_pretrained(directory)
        record, weights = (_read(directory / name) for name in (RECORD, WEIGHTS))
        return _restore(cls, directory, record, weights)


def any_pretrained(directory: str | Path) -> Pretrained:
    """Make a network from a directory that `save_pretrained` wrote, of the class that it names.

    Args:
        directory: The directory, or the name of shipped weights such as `cave_x4`.

    Raises:
        ValueError: As for `Pretrained.from_pretrained`, or no class of that name.
        OSError: A file that cannot be opened.
    """
    path = find_pretrained(directory) / RECORD
    text = _read(path)
    try:
        named = json.loads(text)["class_path"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} names no network ({_line(error)}); expected what save_pretrained wrote"
        ) from None
    try:
        cls = find_class(named)
    except ValueError as error:
        raise ValueError(f"{path}: cannot make its network {named}: {error}") from None
    return cls.from_pretrained(directory)


def find_pretrained(directory: str | Path) -> Path:
    """Return a directory or, where there is none, that of the shipped weights of this name."""
    given = Path(directory).expanduser()
    return resource_dir("weights") / given if not given.exists() and str(given) in shipped() else given


def shipped() -> list[str]:
    """Return the names of the weights that ship with the project."""
    return sorted(path.parent.name for path in resource_dir("weights").glob(f"*/{RECORD}"))


def find_class(named: str) -> type[Pretrained]:
    """Return the network class of a dotted path; nothing else that a file names is called.

    Raises:
        ValueError: There is none.
    """
    try:
        module, _, name = named.rpartition(".")
        found = getattr(importlib.import_module(module), name)
    except (AttributeError, ImportError, TypeError, ValueError) as error:
        raise ValueError(str(error)) from None
    if not (isinstance(found, type) and issubclass(found, Pretrained)):
        raise ValueError("it is no subclass of cofusion.models.Pretrained")
    return found


def _restore(cls: type[Net], directory: Path, record_text: bytes, weights: bytes) -> Net:
    record = read_record(record_text, cls, directory / RECORD)
    tensors = _unpack(weights, record, directory / WEIGHTS)
    net = _new(cls, record, directory / RECORD)
    found = tensor_differences(_shapes(net.state_dict()), _shapes(tensors), "in the file")
    if found:
        raise ValueError(f"{directory / WEIGHTS} does not fit {cls.__name__}: {'; '.join(found)}")
    net.load_state_dict(tensors)
    net.provenance = record.provenance
    return net.eval()


def _new(cls: type[Net], record: Record, path: Path) -> Net:
    # The first values, which are replaced at once, are no business of the caller's random numbers.
    with torch.random.fork_rng(devices=[]):
        try:
            return cls(**record.init_args)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"{path}: {cls.__name__} refuses its init_args: {_line(error)}") from None


def _pack(state: Mapping[str, Any], half: bool) -> bytes:
    others = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if others:
        raise ValueError(f"its state dict holds more than tensors: {', '.join(others)}")
    # The format wants every tensor alone and in rows, however it lies in memory.
    alone = {k: v.detach().clone(memory_format=torch.contiguous_format) for k, v in state.items()}
    if half:
        alone = {k: v.half() if v.dtype == torch.float32 else v for k, v in alone.items()}
        if wide := [k for k, v in alone.items() if v.isinf().any()]:
            raise ValueError(f"some of its weights are too large for half precision: {', '.join(wide)}")
    return safetensors.torch.save(alone, metadata={"format": "pt"})


def _unpack(weights: bytes, record: Record, path: Path) -> dict[str, Tensor]:
    if _sha256(weights) != record.sha256:
        raise ValueError(
            f"{path} has SHA-256 {_sha256(weights)}, expected {record.sha256} as {RECORD} says: it is "
            f"truncated, changed or from another directory"
        )
    try:
        tensors = safetensors.torch.load(weights)
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{path} is not in the safetensors format ({_line(error)})") from None
    return {k: v.float() if record.half and v.dtype == torch.float16 else v for k, v in tensors.items()}


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f"no file {path}; expected a directory with {RECORD} and {WEIGHTS}")
    return path.read_bytes()


def _shapes(state: Mapping[str, Tensor]) -> dict[str, str]:
    return {name: f"{tuple(value.shape)} of {value.dtype}" for name, value in state.items()}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
