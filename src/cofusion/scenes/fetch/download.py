"""Fetching one large file over HTTP(S), so that an interrupted run is completed by the next.

The HTTP library is requests: wandb brings it along, it follows redirects, knows the environment's proxies and
certificates, and hands over the body in pieces. pooch, made for scientific data, fetches a file from its
beginning again when the connection was cut; of 400 MB over a slow line that is what hurts.

How resuming works (RFC 9110, sections 13.1.5 and 14): beside `NAME.part` lies `NAME.part.json` with the
address, the length and the validator (strong ETag, else Last-Modified) of what is being fetched. The rest is
asked for with `Range` and `If-Range`; a server whose file has changed then sends the new one from its start.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

from cofusion.errors import UserError
from cofusion.files import sha256 as file_sha256
from cofusion.files import write_text
from cofusion.scenes.space import check_space

_CHUNK = 1 << 16  # bytes; what is lost of the last piece when the connection is cut
_TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
_FRUITLESS = 4  # tries in a row that get no further
_PAUSE = 0.5  # seconds after the first of them; doubled after each
_PASSING = (429, 500, 502, 503, 504)
_LOST = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)

Report = Callable[[int, int | None], None]


class DownloadError(UserError):
    """A file could not be fetched; says why, and what of it is kept."""


class _Busy(requests.RequestException):
    """An answer that may be another one in a moment."""


@dataclass(frozen=True)
class _Origin:
    """What a partial file is a part of."""

    url: str
    total: int | None
    validator: str | None


def download(url: str, part: Path, *, limit: int, sha256: str | None = None) -> str:
    """Fetch a file, or the rest of it.

    Only one process may fetch into a file at a time; the caller sees to that.

    Args:
        url: An http:// or https:// address.
        part: Where the bytes go. What an earlier call left there is completed. Once the call returns, the
            file is whole and the caller's to check, rename or unpack; `forget` removes it with its record.
        limit: The most bytes to accept.
        sha256: Hexadecimal checksum, where known.

    Returns:
        The file's SHA-256.

    Raises:
        DownloadError: No connection, an answer other than the file, a file beyond the limit or with another
            checksum. What was fetched stays for the next call, except where it is of no use.
        OSError: The folder cannot be written, or the disk is full; what was fetched stays.
    """
    if not url.lower().startswith(("https://", "http://")):
        raise DownloadError(f"cannot fetch {url!r}; expected an address that starts with https:// or http://")
    with requests.Session() as session, _progress(url.partition("?")[0].rpartition("/")[2]) as report:
        _fetch_all(session, url, part, limit, report)
    found = file_sha256(part)
    if sha256 is not None and found != sha256.lower():
        forget(part)
        raise DownloadError(
            f"{url} has the SHA-256 {found}, expected {sha256.lower()}; it is another file or was damaged on "
            f"its way, and was removed"
        )
    return found


def forget(part: Path) -> None:
    """Remove a partial file and its record."""
    _record(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def _fetch_all(session: requests.Session, url: str, part: Path, limit: int, report: Report) -> None:
    """Fetch until the file is whole; give up after some tries in a row that get no further than before."""
    fruitless, furthest = 0, _size(part)
    while True:
        try:
            return _fetch(session, url, part, limit, report)
        except (*_LOST, _Busy) as error:
            fruitless = 0 if _size(part) > furthest else fruitless + 1
            furthest = max(furthest, _size(part))
            if fruitless == _FRUITLESS:
                raise DownloadError(f"{url}: {_reason(error)}{_kept(part)}") from error
        except requests.RequestException as error:
            raise DownloadError(f"{url}: {_reason(error)}{_kept(part)}") from error
        time.sleep(_PAUSE * 2 ** max(0, fruitless - 1))


def _fetch(session: requests.Session, url: str, part: Path, limit: int, report: Report) -> None:
    """Make one request and write what it brings."""
    origin, have = _known(url, part), _size(part)
    if origin and have == origin.total:
        return
    # Anything but the bytes themselves (gzip) would have another length and could not be continued.
    headers = {"Accept-Encoding": "identity"}
    if origin and origin.validator and have:
        headers |= {"Range": f"bytes={have}-", "If-Range": origin.validator}
    with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if response.status_code == 416 and "Range" in headers:
            forget(part)
            raise _Busy("the server cannot go on where the last run stopped")
        _check_answer(response, url)
        if response.status_code == 206 and not _continues(response, origin, have):
            forget(part)
            raise _Busy("the server sent another range than it was asked for")
        start, total = _extent(response)
        if max(total or 0, have if start else 0) > limit:
            forget(part)
            raise DownloadError(f"{url} holds {total} bytes; expected at most {limit}")
        check_space(part.parent, (total or 0) - start)
        if not start:
            _begin(part, _Origin(url, total, _validator(response)))
        _write(response, part, total, limit, report)
    # Where the length was not told, it is known now: a run that stops here need not fetch the file again.
    _note(part, _Origin(url, _size(part), None))


def _check_answer(response: requests.Response, url: str) -> None:
    """Accept the file or a part of it, and nothing else."""
    status = f"{response.status_code} {response.reason}"
    if response.status_code in _PASSING:
        raise _Busy(f"the server answered {status}")
    if response.status_code not in (200, 206):
        raise DownloadError(f"{url}: the server answered {status}")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise DownloadError(f"{url} is a web page, not a file; it may have moved, or want a login")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadError(f"{url}: the server insists on sending the file encoded")


def _write(response: requests.Response, part: Path, total: int | None, limit: int, report: Report) -> None:
    """Append the body; raise as for a lost connection where it ends too soon."""
    have = _size(part)
    with part.open("ab") as file:
        for piece in response.iter_content(_CHUNK):
            have += len(piece)
            if have > limit:
                break
            file.write(piece)
            report(have, total)
    if have > limit:
        forget(part)
        raise DownloadError(f"{response.url} holds more than the expected {limit} bytes")
    # urllib3 before version 2 does not say so.
    if total is not None and have != total:
        raise requests.ConnectionError(f"the connection ended after {have} of {total} bytes")


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """Return the first byte of an answer and the length of the whole file, where told."""
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    span, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    first = span.partition("-")[0]
    if not (first.isdecimal() and total.isdecimal()):
        return -1, None
    return int(first), int(total)


def _continues(response: requests.Response, origin: _Origin | None, have: int) -> bool:
    """Return whether a range is the rest of what is here; not every server minds If-Range."""
    if origin is None or _validator(response) not in (None, origin.validator):
        return False
    start, total = _extent(response)
    return start == have and origin.total in (None, total)


def _validator(response: requests.Response) -> str | None:
    """Return what proves to the server that a part is of its present file; weak ETags do not."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")


def _begin(part: Path, origin: _Origin) -> None:
    """Empty the partial file, and only then say what its bytes will belong to."""
    forget(part)
    part.touch()
    _note(part, origin)


def _record(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _note(part: Path, origin: _Origin) -> None:
    write_text(_record(part), json.dumps(asdict(origin)))


def _known(url: str, part: Path) -> _Origin | None:
    """Return what the partial file belongs to; None where that is unknown or another address."""
    try:
        origin = _Origin(**json.loads(_record(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return origin if origin.url == url and part.is_file() else None


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _kept(part: Path) -> str:
    size = _size(part)
    return f"; {size} bytes are kept in {part}, the same command goes on from there" if size else ""


def _reason(error: BaseException) -> str:
    """Return the innermost reason, without the objects of the libraries around it."""
    while isinstance(inner := getattr(error, "reason", None) or (error.args or [None])[0], BaseException):
        error = inner
    return re.sub(r"^<?\w+\(.*?\)>?: ", "", str(error))


@contextmanager
def _progress(name: str) -> Iterator[Report]:
    """Draw a bar on the terminal's error stream; nothing where that is a file."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(name or "file", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
