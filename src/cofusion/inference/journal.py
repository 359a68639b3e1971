"""What of a product is done: the record beside its temporary file by which an interrupted fusion goes on."""

import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cofusion.errors import UserError
from cofusion.files import write_text
from cofusion.inference import product
from cofusion.inference.tiles import Span
from cofusion.scenes.formats import Raw

Identity = Mapping[str, Any]


@dataclass(frozen=True)
class Journal:
    """The record of one product.

    Attributes:
        target: The product's file.
        identity: What the product depends on: plain values.
        done: Number and CRC-32 of each finished strip.
    """

    target: Path
    identity: Identity
    done: dict[int, int]

    @property
    def part(self) -> Path:
        """The product while it is written."""
        return part_of(self.target)

    def finished(self, number: int, values: Raw) -> None:
        """Record that a strip is in the file."""
        self.done[number] = _checksum(values)
        self.write()

    def write(self) -> None:
        """Write the record."""
        content = {"identity": self.identity, "strips": self.done}
        write_text(_record_of(self.target), json.dumps(content, indent=1))

    def close(self) -> None:
        """Remove the record: the product has its name, or is to begin anew."""
        _record_of(self.target).unlink(missing_ok=True)


def part_of(target: Path) -> Path:
    """Return the name that a product has while it is written."""
    return target.with_name(f"{target.stem}.part{target.suffix}")


def open_journal(target: Path, identity: Identity, strips: list[Span], overwrite: bool) -> Journal:
    """Go on with what an interrupted fusion left, or begin anew.

    A strip counts as done if the file still holds the values that were written.

    Args:
        target: The product's file.
        identity: What the product depends on.
        strips: The product's strips.
        overwrite: Whether what another fusion left may be thrown away.

    Raises:
        UserError: What was left is of another fusion.
    """
    # As it will be read back.
    identity = json.loads(json.dumps(identity))
    part, record = part_of(target), _record_of(target)
    try:
        found = json.loads(record.read_text())
        done = {int(number): int(crc) for number, crc in found["strips"].items()}
        theirs = dict(found["identity"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Journal(target, identity, {})
    different = [name for name in identity if theirs.get(name) != identity[name]]
    if not different:
        return Journal(target, identity, _still_there(part, done, strips))
    if not overwrite:
        raise UserError(
            f"{part} is what an interrupted fusion left, of other inputs or options "
            f"({', '.join(different)}); run that command to go on with it, or give --overwrite to begin anew"
        )
    return Journal(target, identity, {})


@contextmanager
def alone(target: Path) -> Iterator[None]:
    """Keep other processes from writing the same product.

    Raises:
        UserError: Another process writes it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another process is writing {target}; wait for it, or give another -o") from None
    except OSError as error:
        raise UserError(
            f"cannot write into {target.parent}: {error.strerror or error}; choose another -o"
        ) from error
    try:
        yield
    finally:
        # While it is held: once released, the file may be another process's lock.
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _still_there(part: Path, done: dict[int, int], strips: list[Span]) -> dict[int, int]:
    from rasterio.errors import RasterioError

    kept = {}
    for number, crc in done.items():
        try:
            span = strips[number]
            if _checksum(product.read(part, span.start, span.stop - span.start)) == crc:
                kept[number] = crc
        except (RasterioError, OSError, ValueError, IndexError):
            # Whatever is wrong with it, it is fused again.
            continue
    return kept


def _record_of(target: Path) -> Path:
    return target.with_name(f"{target.stem}.part.json")


def _checksum(values: Raw) -> int:
    return zlib.crc32(np.ascontiguousarray(values).data)
