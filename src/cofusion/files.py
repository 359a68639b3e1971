"""Writing files whole or not at all, and by one process at a time."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def file_stem(name: str) -> str:
    """A name as that of a file: whatever is not a letter, a digit, `.`, `_` or `-` becomes `_`."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_")


@contextmanager
def whole_file(path: Path, old: Path | None = None) -> Iterator[Path]:
    """Give a temporary name beside `path` and move the file written there into place at the end.

    A reader of `path` sees the old file or the new one, never a half: where the block raises, the temporary
    file is removed and the old one stays. So it is after a power cut: the new file is on the disk before the
    old one goes. Missing parent folders are made.

    Args:
        path: The file to appear. The temporary name keeps its suffix, which picks the format in many writers.
        old: Where the file goes that is now at `path`; left out, it is gone. Between the two moves there is
            no file at `path`.

    Raises:
        OSError: The folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        _sync(part)
        if old is not None and path.exists():
            path.replace(old)
        part.replace(path)
        _sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, whole or not at all, as `whole_file` does.

    Raises:
        OSError: The folder cannot be written.
    """
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def _sync(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def alone(lock: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Keep other processes that ask for the same lock out of this block.

    Args:
        lock: The lock's file, in a folder that exists; the file stays.
        waiting: Called once where another process is in its block.

    Raises:
        OSError: The file cannot be written.
    """
    from filelock import FileLock, Timeout

    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        waiting()
        held.acquire()
    try:
        yield
    finally:
        held.release()


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a new folder beside `path` and move it into place at the end, in the place of what is there.

    Where the block raises, the new folder is removed and the old one stays. Missing parent folders are made.

    Args:
        path: The folder to appear.

    Raises:
        OSError: The folder cannot be written.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    part, old = (path.with_name(f".{path.name}.{os.getpid()}.{word}") for word in ("part", "old"))
    part.mkdir()
    try:
        yield part
        for file in part.rglob("*"):
            _sync(file)
        if path.exists():
            path.replace(old)
        part.replace(path)
        _sync(path.parent)
    finally:
        # Something is left of them only where the block or a move failed.
        shutil.rmtree(part, ignore_errors=True)
        if old.exists() and not path.exists():
            old.replace(path)
        shutil.rmtree(old, ignore_errors=True)
