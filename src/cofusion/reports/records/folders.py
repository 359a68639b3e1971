"""Walking over the folders that a report was given, and what it calls those that it finds."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from cofusion.reports.tables.texts import as_text


def folders_below(tops: Sequence[Path]) -> Iterator[tuple[Path, str, list[str]]]:
    """Yield every folder below some folders, these themselves included; one that is reached twice comes once.

    Links are followed, as run directories often are links to a larger disk.

    Args:
        tops: The folders.

    Yields:
        The folder; what it is called, which is its path below the folder given or, of several, below what
        these have in common; and the names of its files.
    """
    above = Path(os.path.commonpath([top.resolve() for top in tops]))
    seen = set()
    for top in tops:
        for here, folders, files in os.walk(top, followlinks=True):
            real = os.path.realpath(here)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders.sort()
            yield Path(here), _name(top.resolve() / Path(here).relative_to(top), above), files


def _name(path: Path, above: Path) -> str:
    return as_text(path.name if path == above else path.relative_to(above).as_posix())
