"""Folders of derived files, made once and found again by every later start."""

import json
import logging
import os
import shutil
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cofusion.errors import UserError
from cofusion.files import alone, sha256, write_text

_log = logging.getLogger(__name__)

_RECORD = "record.json"
_PIECE = 2**24
Facts = dict[str, Any]


def kept(folder: Path, identity: Facts, make: Callable[[Path], Facts], source: Path | None = None) -> Facts:
    """Return the facts of a folder of derived files; make the folder where it is not there or not right.

    It is right if it was made for the same identity, from a source file of the same size and time (or, where
    the time differs, of the same SHA-256), and if its own files have their sizes and checksums (CRC-32). It
    appears in one step, whole. Where several processes start at once, one makes it and the others wait.

    Args:
        folder: The folder. Its parent must be writable, unless the folder is there and right.
        identity: What the files depend on besides the source: plain values.
        make: Writes the files into a folder, and returns facts, plain values, to keep with them.
        source: The file they are derived from.

    Raises:
        UserError: The folder cannot be written.
    """
    facts = _found(folder, identity, source)
    if facts is not None:
        return facts
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(f".{folder.name}.lock")
        with alone(lock, lambda: _log.warning("another process makes %s; waiting for it", folder)):
            facts = _found(folder, identity, source)
            return _make(folder, identity, make, source) if facts is None else facts
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror or error}); free some space there, or name another "
            f"folder in the environment variable COFUSION_CACHE"
        ) from error


def _found(folder: Path, identity: Facts, source: Path | None) -> Facts | None:
    """Return the facts of a folder that is right; None where there is none."""
    try:
        record = json.loads((folder / _RECORD).read_text())
        if record["identity"] != identity or not _same_source(folder, record, source):
            return None
        whole = all(_checksum(folder / name) == wanted for name, wanted in record["files"].items())
    # Whatever is wrong with a copy, the cure is a new one.
    except (OSError, ValueError, KeyError, TypeError):
        return None
    facts: Facts = record["facts"]
    return facts if whole else None


def _same_source(folder: Path, record: Facts, source: Path | None) -> bool:
    if source is None:
        return True
    now, then = _stamp(source), record["source"]
    if now["size"] != then["size"]:
        return False
    if now["time"] == then["time"]:
        return True
    if sha256(source) != then["sha256"]:
        return False
    # The same file, copied or touched: the next start need not read it.
    with suppress(OSError):
        _write_record(folder, record | {"source": then | now})
    return True


def _make(folder: Path, identity: Facts, make: Callable[[Path], Facts], source: Path | None) -> Facts:
    # Under the lock, what other processes began and did not finish is nobody's.
    for left in folder.parent.glob(f".{folder.name}.*.part"):
        shutil.rmtree(left, ignore_errors=True)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    part.mkdir()
    try:
        stamp = None if source is None else _stamp(source) | {"sha256": sha256(source)}
        facts = make(part)
        files = {path.name: _checksum(path) for path in sorted(part.iterdir())}
        _write_record(part, {"identity": identity, "source": stamp, "files": files, "facts": facts})
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return facts


def _write_record(folder: Path, record: Facts) -> None:
    write_text(folder / _RECORD, json.dumps(record, indent=1))


def _stamp(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {"size": status.st_size, "time": status.st_mtime_ns}


def _checksum(path: Path) -> dict[str, int]:
    """Return size and CRC-32: finds damage at the speed of the disk."""
    size, crc = 0, 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            size, crc = size + len(piece), zlib.crc32(piece, crc)
    return {"size": size, "crc32": crc}
