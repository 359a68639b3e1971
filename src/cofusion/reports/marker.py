"""Knowing the folder of a report again, so that nothing else is ever replaced by one."""

from pathlib import Path

# Lists the files of a report, one a line; lies beside them.
MARKER = ".cofusion-report"


def mark(folder: Path) -> None:
    """Write into the folder of a report which files it holds.

    Args:
        folder: The report, whole but for this.

    Raises:
        OSError: The folder cannot be written.
    """
    (folder / MARKER).write_text("".join(f"{name}\n" for name in _files(folder)), encoding="utf-8")


def stranger(folder: Path) -> str | None:
    """Return a file in a report's folder that is no part of the report; None where there is none.

    Args:
        folder: A folder with a marker.
    """
    known = {MARKER, *(folder / MARKER).read_text(encoding="utf-8", errors="replace").splitlines()}
    return next((name for name in _files(folder) if name not in known), None)


def _files(folder: Path) -> list[str]:
    """Everything in a folder, at any depth, but for folders; a link is a file whatever it leads to."""
    paths = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return sorted(path.relative_to(folder).as_posix() for path in paths)
