"""Writing files whole or not at all, and by one process at a time."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path` and move the file written there into place at the end.

    A reader of `path` sees the old file or the new one, never a half: where the block raises, the temporary
    file is removed and the old one stays. Missing parent folders are made.

    Args:
        path: The file to appear. The temporary name keeps its suffix, which picks the format in many writers.

    Raises:
        OSError: The folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


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
