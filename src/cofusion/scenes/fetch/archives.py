"""Unpacking archives that someone else made.

Only plain files and folders come out, under names that stay in the target, and never more bytes than allowed.
`tarfile`'s own filter lets links through where it takes them for harmless; no known scene needs one.
"""

import errno
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from cofusion.errors import UserError
from cofusion.scenes.space import check_space, readable

_MOST_MEMBERS = 100_000
_FOLDER, _FILE = "folder", "file"
_ZIP_KINDS = {0: _FILE, stat.S_IFREG: _FILE, stat.S_IFDIR: _FOLDER, stat.S_IFLNK: "symbolic link"}
# What the system says of names in a damaged archive; a full disk, for example, is not its fault. "Not a
# gzipped file" has no number.
_FAULTS = (None, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)


@dataclass(frozen=True)
class _Member:
    """One entry of an archive: its name, what it is, its size and how to read it."""

    name: str
    kind: str
    size: int
    open: Callable[[], AbstractContextManager[IO[bytes]]]


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip or a tar archive, by its content."""
    return path.is_file() and (_is_zip(path) or _is_tar(path))


def unpack(archive: Path, folder: Path, *, limit: int) -> None:
    """Unpack a zip or tar archive (plain, gzip, bzip2 or xz) into a new folder, whole or not at all.

    Every name is checked before the first byte is written.

    Args:
        archive: The archive.
        folder: The folder to make; it must not exist.
        limit: The most bytes that may come out.

    Raises:
        UserError: The archive is damaged or encrypted, is larger than `limit`, holds a link or a device, or a
            name that leaves the folder or comes twice.
        FolderError: The disk has too little room.
        OSError: The folder cannot be written or the disk is full.
    """
    folder.mkdir(parents=True)
    try:
        with _reading(archive):
            with _members(archive) as members:
                total = _check(archive, members, limit)
            check_space(folder, total)
            with _members(archive) as members:
                for member in members:
                    _write(member, folder)
    except BaseException:
        shutil.rmtree(folder)
        raise


def _check(archive: Path, members: Iterator[_Member], limit: int) -> int:
    """Check every member, and return the sum of their sizes."""
    total = 0
    for count, member in enumerate(members, start=1):
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts:
            raise UserError(
                f"{archive} holds the path {member.name!r}, which leaves the folder; not unpacked"
            )
        if member.kind not in (_FILE, _FOLDER):
            raise UserError(
                f"{archive} holds {member.name!r}, a {member.kind}; only files and folders are unpacked"
            )
        total += member.size
        if total > limit or count > _MOST_MEMBERS:
            raise UserError(
                f"{archive} unpacks to more than {readable(limit)} or {_MOST_MEMBERS} files, which is not "
                f"the data set; not unpacked"
            )
    return total


def _write(member: _Member, folder: Path) -> None:
    target = folder / member.name
    if member.kind == _FOLDER:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # "x": a name that comes twice is an error, not the later one's.
    with member.open() as source, target.open("xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
        if file.tell() != member.size:
            raise ValueError(f"{member.name!r} has {file.tell()} bytes instead of {member.size}")


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    """Open an archive and go through its members in order."""
    if _is_zip(archive):
        with zipfile.ZipFile(archive) as packed_zip:
            yield (_zip_member(packed_zip, info) for info in packed_zip.infolist())
    else:
        with tarfile.open(archive) as packed_tar:
            yield (_tar_member(packed_tar, info) for info in packed_tar)


def _zip_member(packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    # The upper half of the attributes are those of Unix, where the archive was made there.
    kind = _FOLDER if info.is_dir() else _ZIP_KINDS.get(stat.S_IFMT(info.external_attr >> 16), "device")
    return _Member(info.filename, kind, info.file_size, lambda: packed.open(info))


def _tar_member(packed: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    return _Member(
        info.name, _tar_kind(info), info.size if info.isreg() else 0, lambda: _tar_file(packed, info)
    )


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isreg():
        return _FILE
    if info.isdir():
        return _FOLDER
    return "symbolic link" if info.issym() else "hard link" if info.islnk() else "device"


def _tar_file(packed: tarfile.TarFile, info: tarfile.TarInfo) -> AbstractContextManager[IO[bytes]]:
    file = packed.extractfile(info)
    if file is None:
        raise ValueError(f"{info.name!r} is not a file")
    return file


def _is_zip(path: Path) -> bool:
    # zipfile looks at the end alone, where any other file may by chance look like one.
    with path.open("rb") as file:
        return file.read(2) == b"PK" and zipfile.is_zipfile(path)


def _is_tar(path: Path) -> bool:
    try:
        with tarfile.open(path) as packed:
            # tarfile takes a file of zeros for an archive of nothing.
            return packed.next() is not None
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
        return False


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Turn whatever a damaged archive raises into one line for the person."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:  # decompressors raise anything from zlib.error to EOFError on damaged files
        if isinstance(error, OSError) and error.errno not in _FAULTS:
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{archive} ({archive.stat().st_size} bytes) cannot be unpacked: {reason}; it may be damaged, "
            f"fetch it again"
        ) from error
