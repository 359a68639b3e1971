"""Writing files whole or not at all."""

import os
from collections.abc import Iterator
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
