"""Asking whether there is room on the disk before hours of work end without it."""

import shutil
from pathlib import Path

from cofusion.errors import UserError


class FolderError(UserError):
    """The person's folder or disk is in the way, not what was to be written there."""


def check_space(folder: Path, needed: int) -> None:
    """Check that a folder's disk has room.

    Args:
        folder: An existing folder.
        needed: Bytes to be written.

    Raises:
        FolderError: There is less.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise FolderError(
            f"{folder} has {readable(free)} free and {readable(needed)} more are needed; free some space or "
            f"choose another disk"
        )


def readable(size: int) -> str:
    """Return a number of bytes in decimal units, for example `406.0 MB`."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
