"""Getting a data set: fetch it or take what the person already has, unpack, check, and put it in place."""

import copy
import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cofusion.errors import UserError
from cofusion.files import alone
from cofusion.scenes.base import DatasetNotFoundError, SceneSet
from cofusion.scenes.catalogue import Source
from cofusion.scenes.fetch.archives import is_archive, unpack
from cofusion.scenes.fetch.download import DownloadError, download, forget
from cofusion.scenes.space import FolderError, readable

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
Say = Callable[[str], None]


def missing(scenes: SceneSet) -> tuple[str, ...]:
    """Return the names of the scenes that have no file.

    Raises:
        UserError: The data set needs something other than files, and it is not there.
    """
    try:
        scenes.require(scenes.names())
    except DatasetNotFoundError as error:
        return error.missing
    return ()


def prepare(scenes: SceneSet, source: Source, url: str | None, sha256: str | None, say: Say) -> None:
    """Bring the files of a data set under its root, and check them.

    What is already there is left alone. New files go to `<root>/<stem>/`. Several processes may prepare the
    same set: one works, the others wait for it.

    Args:
        scenes: The data set with its root.
        source: Where its files come from.
        url: An address to use instead of the source's.
        sha256: Checksum of what that address gives, where known.
        say: Called with each line for the person.

    Raises:
        UserError: The files cannot be had or are not those of the data set; says what to do.
        OSError: The root cannot be written.
    """
    wanted = missing(scenes)
    if source.content is None:
        say(f"{scenes.title}: nothing to fetch ({scenes.expected})")
    elif not wanted:
        _check(scenes, source, scenes.names())
        say(f"{scenes.title}: already in {scenes.root.absolute()}, nothing to do")
    else:
        folder = scenes.root / scenes.stem
        folder.mkdir(parents=True, exist_ok=True)
        waiting = f"another process prepares {folder.absolute()}; waiting for it"
        with alone(folder / ".lock", lambda: say(waiting)), _room(folder):
            _bring(scenes, source, url, sha256, say)
        _check(scenes, source, wanted)
        say(f"{scenes.title}: {len(scenes.names())} of {len(scenes.names())} scenes in {folder.absolute()}")


def _bring(scenes: SceneSet, source: Source, url: str | None, sha256: str | None, say: Say) -> None:
    """Take the missing scenes from archives that lie there, then from the address."""
    for archive in _archives(scenes, source):
        if missing(scenes):
            say(f"unpacking {archive}")
            _take(scenes, source, archive)
    if not missing(scenes):
        return
    address = url or source.url
    if address is None:
        raise _by_hand(scenes, source)
    part = scenes.root / scenes.stem / "download.part"
    say(f"fetching {address}")
    try:
        found = download(address, part, limit=source.limit, sha256=sha256 or (None if url else source.sha256))
    except DownloadError as error:
        raise UserError(
            f"{scenes.title}: {error}; its page is {scenes.homepage}; another address can be given with --url"
        ) from error
    say(f"{readable(part.stat().st_size)}, SHA-256 {found}")
    _use(scenes, source, part, address, say)


def _use(scenes: SceneSet, source: Source, part: Path, address: str, say: Say) -> None:
    """Unpack what was fetched, or move it into place; forget it, unless it is of use a second time."""
    try:
        if is_archive(part):
            say("unpacking")
            _take(scenes, source, part)
        elif source.file is None:
            raise UserError(f"{address} is neither a zip nor a tar archive")
        else:
            _checked(source, part)
            part.replace(part.with_name(source.file))
    except FolderError:
        raise
    except UserError as error:
        forget(part)
        raise UserError(
            f"{scenes.title}: what {address} gave cannot be used: {error}; its page is {scenes.homepage}"
        ) from error
    forget(part)
    if lacking := missing(scenes):
        raise UserError(
            f"{scenes.title}: {address} does not hold {', '.join(lacking)}; {scenes.homepage} does"
        )


def _take(scenes: SceneSet, source: Source, archive: Path) -> None:
    """Unpack an archive beside the scenes, and move those that are missing into place, each in one step."""
    folder = scenes.root / scenes.stem
    staging = folder / ".unpacked"
    # Left by a process that was killed; the lock says that it is nobody's now.
    shutil.rmtree(staging, ignore_errors=True)
    try:
        unpack(archive, staging, limit=source.limit)
        # The deepest folder that can serve as a root comes first: what is moved is then the scene alone.
        roots = sorted(_folders(staging), key=lambda path: len(path.parts), reverse=True)
        # One bad scene does not keep the others out.
        problems = [_place(scenes, source, roots, name) for name in missing(scenes)]
        for problem in filter(None, problems):
            raise problem
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _folders(staging: Path) -> list[Path]:
    return [staging, *(path for path in staging.rglob("*") if path.is_dir())]


def _place(scenes: SceneSet, source: Source, roots: list[Path], name: str) -> UserError | None:
    """Move a scene into place where the archive held it; return what is wrong with it."""
    try:
        unit = _unit(scenes, source, roots, name)
    except UserError as error:
        return error
    if unit is None:
        return None
    target = scenes.root / scenes.stem / unit.name
    if target.exists():
        return FolderError(
            f"{target} is there but does not hold a whole scene; move it away and run the same command again"
        )
    unit.rename(target)
    return None


def _unit(scenes: SceneSet, source: Source, roots: list[Path], name: str) -> Path | None:
    """Return the file or folder of a scene below one of these folders, once checked."""
    probe = copy.copy(scenes)
    for root in roots:
        probe.root = root
        for path in probe.path(name):
            if path.is_file():
                _checked(source, path)
                return root / path.relative_to(root).parts[0]
    return None


def _archives(scenes: SceneSet, source: Source) -> list[Path]:
    """Return the archives that the person has put under the root.

    Raises:
        UserError: One of them is none.
    """
    folders = (scenes.root, scenes.root / scenes.stem)
    found = [path for folder in folders for pattern in source.archives for path in folder.glob(pattern)]
    for path in found:
        if not is_archive(path):
            raise UserError(
                f"{path} ({path.stat().st_size} bytes) is not a whole zip or tar archive; remove it or fetch "
                f"it again"
            )
    return sorted(set(found))


def _by_hand(scenes: SceneSet, source: Source) -> UserError:
    return UserError(
        f"{scenes.title} has no public direct address: go to {scenes.homepage}, {source.manual}, put it into "
        f"{scenes.root.absolute()} and run the same command again; it unpacks and checks the scene (a direct "
        f"address that you know can be given with --url)"
    )


def _check(scenes: SceneSet, source: Source, names: tuple[str, ...]) -> None:
    """Check the files of scenes that are in place."""
    for name in names:
        path = scenes.find(name)
        try:
            _checked(source, path)
        except UserError as error:
            raise UserError(
                f"{scenes.title}: {error}; move it away and run the same command again"
            ) from error


def _checked(source: Source, path: Path) -> None:
    if source.content is not None:
        source.content.check(path)


@contextmanager
def _room(folder: Path) -> Iterator[None]:
    """Say in one line that the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise UserError(
            f"no space left on the disk of {folder.absolute()}; free some and run the same command again, it "
            f"goes on where it stopped"
        ) from error
