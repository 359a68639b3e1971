"""Downloads against a server on this machine: whole, cut, resumed, changed, refused."""

import errno
import hashlib
import json
import random
import socket
from pathlib import Path

import pytest

from cofusion.scenes.fetch import download as module
from cofusion.scenes.fetch.download import DownloadError, download, forget
from cofusion.scenes.space import FolderError
from file_server import serve

BODY = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
LIMIT = 1_000_000


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait between tries, and write in pieces that a cut falls between."""
    monkeypatch.setattr(module, "_PAUSE", 0.001)
    monkeypatch.setattr(module, "_CHUNK", 10_000)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server():
    with serve(BODY) as files:
        yield files


@pytest.fixture
def part(tmp_path) -> Path:
    return tmp_path / "file.part"


def interrupted(server, part, after: int = 100_000, **serving) -> int:
    """Let a download die after some bytes, as with Ctrl-C; return how many were kept."""

    def stop(have: int, total: int | None) -> None:
        if have >= after:
            raise KeyboardInterrupt

    for name, value in serving.items():
        setattr(server, name, value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_progress", lambda name: _Reporting(stop))
        with pytest.raises(KeyboardInterrupt):
            download(server.url, part, limit=LIMIT)
    kept = part.stat().st_size
    assert after <= kept < len(server.body)
    server.requests.clear()
    return kept


class _Reporting:
    def __init__(self, report):
        self.report = report

    def __enter__(self):
        return self.report

    def __exit__(self, *_):
        return None


def test_a_whole_file(server, part):
    assert download(server.url, part, limit=LIMIT) == SHA256
    assert part.read_bytes() == BODY
    assert len(server.requests) == 1
    assert "Range" not in server.requests[0]


def test_a_whole_file_is_not_fetched_twice(server, part):
    for _ in range(2):
        assert download(server.url, part, limit=LIMIT, sha256=SHA256.upper()) == SHA256
    assert len(server.requests) == 1
    forget(part)
    assert list(part.parent.iterdir()) == []


def test_an_interrupted_download_is_completed(server, part):
    kept = interrupted(server, part)
    assert download(server.url, part, limit=LIMIT) == SHA256
    assert part.read_bytes() == BODY
    (request,) = server.requests
    assert request["Range"] == f"bytes={kept}-"
    assert request["If-Range"] == server.tag()


def test_a_lost_connection_is_taken_up_at_once(server, part):
    server.cut_after = 70_000
    assert download(server.url, part, limit=LIMIT) == SHA256
    assert part.read_bytes() == BODY
    # Every byte was sent once: 5 answers of at most 70000 bytes make 300000.
    assert server.sent == len(BODY)
    assert len(server.requests) == 5


def test_without_ranges_it_starts_anew(server, part):
    interrupted(server, part, ranges=False)
    assert download(server.url, part, limit=LIMIT) == SHA256
    assert part.read_bytes() == BODY
    assert "Range" in server.requests[0]


def test_without_a_validator_it_starts_anew(server, part):
    """Nothing could tell whether the rest is that of the same file."""
    interrupted(server, part, etag=False)
    assert download(server.url, part, limit=LIMIT) == SHA256
    assert part.read_bytes() == BODY
    assert "Range" not in server.requests[0]


def test_a_weak_tag_does_not_vouch_for_bytes_but_a_date_does(server, part):
    date = "Wed, 01 Jul 2015 12:00:00 GMT"
    interrupted(server, part, headers={"ETag": 'W/"1"', "Last-Modified": date})
    assert download(server.url, part, limit=LIMIT) == SHA256
    assert server.requests[0]["If-Range"] == date


def test_a_file_that_changed_in_between_is_fetched_whole(server, part):
    interrupted(server, part)
    server.body = OTHER
    assert download(server.url, part, limit=LIMIT) == hashlib.sha256(OTHER).hexdigest()
    assert part.read_bytes() == OTHER


def test_a_server_that_does_not_mind_if_range(server, part):
    """The tag of its answer tells that the file has changed."""
    interrupted(server, part)
    server.body, server.minds_if_range = OTHER, False
    download(server.url, part, limit=LIMIT)
    assert part.read_bytes() == OTHER


def test_a_file_that_changed_while_the_connection_was_lost_is_fetched_whole(server, part, monkeypatch):
    server.cut_after = 70_000

    def change(_seconds: float) -> None:
        server.body, server.cut_after = OTHER, None

    monkeypatch.setattr("time.sleep", change)
    download(server.url, part, limit=LIMIT)
    assert part.read_bytes() == OTHER


@pytest.mark.parametrize("span", ["bytes 0-9/10", "bytes 5-299999/300000", "nonsense", "bytes */300000"])
def test_a_wrong_range_is_not_appended(server, part, span):
    interrupted(server, part)
    server.headers = {"Content-Range": span}
    # The part is dropped; without it no range is asked for, and the false header is not read.
    assert download(server.url, part, limit=LIMIT) == SHA256
    assert part.read_bytes() == BODY


def test_a_part_of_another_address_is_not_continued(server, part):
    interrupted(server, part)
    assert download(server.url + "?mirror", part, limit=LIMIT) == SHA256
    assert "Range" not in server.requests[0]


@pytest.mark.parametrize("record", ["", "{", "[]", '{"url": 1}', '"text"'])
def test_a_damaged_record_starts_anew(server, part, record):
    interrupted(server, part)
    part.with_name("file.part.json").write_text(record)
    assert download(server.url, part, limit=LIMIT) == SHA256
    assert "Range" not in server.requests[0]


def test_a_part_longer_than_the_file_starts_anew(server, part):
    interrupted(server, part)
    with part.open("ab") as file:
        file.write(bytes(LIMIT))
    assert download(server.url, part, limit=2 * LIMIT) == SHA256


def test_an_unknown_length_is_accepted(server, part):
    server.headers = {"Content-Length": ""}
    assert download(server.url, part, limit=LIMIT) == SHA256
    assert download(server.url, part, limit=LIMIT) == SHA256
    assert len(server.requests) == 1


def test_a_download_of_unknown_length_is_completed_too(server, part):
    kept = interrupted(server, part, headers={"Content-Length": ""})
    for _ in range(2):
        assert download(server.url, part, limit=LIMIT) == SHA256
    (request,) = server.requests
    assert request["Range"] == f"bytes={kept}-"


def test_a_wrong_checksum_removes_the_file(server, part):
    with pytest.raises(DownloadError, match=f"SHA-256 {SHA256}, expected {'0' * 64}"):
        download(server.url, part, limit=LIMIT, sha256="0" * 64)
    assert list(part.parent.iterdir()) == []


def test_missing_files_are_not_asked_for_again(server, part):
    server.statuses = [404]
    with pytest.raises(DownloadError, match="answered 404"):
        download(server.url, part, limit=LIMIT)
    assert len(server.requests) == 1


def test_a_busy_server_is_asked_again(server, part):
    server.statuses = [503, 500, 429]
    assert download(server.url, part, limit=LIMIT) == SHA256


def test_a_server_that_stays_broken_is_given_up(server, part):
    kept = interrupted(server, part)
    server.statuses = [500] * 50
    with pytest.raises(DownloadError, match=rf"answered 500 .*; {kept} bytes are kept in .*file\.part"):
        download(server.url, part, limit=LIMIT)
    assert len(server.requests) == 4
    server.statuses = []
    assert download(server.url, part, limit=LIMIT) == SHA256


def test_a_connection_that_is_always_lost_is_given_up(server, part):
    server.ranges, server.cut_after = False, 70_000
    with pytest.raises(DownloadError, match="70000 bytes are kept"):
        download(server.url, part, limit=LIMIT)


def test_a_server_that_does_not_answer(server, part, monkeypatch):
    monkeypatch.setattr(module, "_TIMEOUT", (1, 0.02))
    server.answer.clear()
    with pytest.raises(DownloadError, match="timed out"):
        download(server.url, part, limit=LIMIT)
    server.answer.set()


def test_a_refused_connection(part):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/file"
        with pytest.raises(DownloadError, match="Connection refused") as caught:
            download(url, part, limit=LIMIT)
    assert "object at" not in str(caught.value)
    assert not part.exists()


@pytest.mark.parametrize(
    "url", ["ftp://host/file", "file:///etc/passwd", "data/file", "", "https:///", "http://[1"]
)
def test_addresses_that_are_none(url, part):
    with pytest.raises(DownloadError):
        download(url, part, limit=LIMIT)


def test_a_proxy_is_used(server, part, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/folder/file.bin"))
    assert download("http://mirror.invalid/file", part, limit=LIMIT) == SHA256
    assert server.requests[0]["Host"] == "mirror.invalid"


def test_a_web_page_is_not_the_file(server, part):
    server.headers = {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(DownloadError, match="is a web page"):
        download(server.url, part, limit=LIMIT)
    assert not part.exists()


def test_an_encoded_answer_is_refused(server, part):
    server.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(DownloadError, match="encoded"):
        download(server.url, part, limit=LIMIT)


@pytest.mark.parametrize("headers", [{}, {"Content-Length": ""}])
def test_a_file_beyond_the_limit_is_not_kept(server, part, headers):
    server.headers = headers
    with pytest.raises(DownloadError, match="200000"):
        download(server.url, part, limit=200_000)
    assert list(part.parent.iterdir()) == []


def test_a_disk_that_is_too_small_is_seen_before(server, part, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: _Usage(250_000))
    with pytest.raises(FolderError, match=r"250\.0 kB free and 300\.0 kB more are needed"):
        download(server.url, part, limit=LIMIT)
    kept = 100_000
    part.write_bytes(BODY[:kept])
    origin = {"url": server.url, "total": len(BODY), "validator": server.tag()}
    part.with_name("file.part.json").write_text(json.dumps(origin))
    assert download(server.url, part, limit=LIMIT) == SHA256


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


def test_a_disk_that_fills_up_keeps_what_was_fetched(server, part, monkeypatch):
    open_file = Path.open

    def full(path, mode="r", *args, **kwargs):
        file = open_file(path, mode, *args, **kwargs)
        if mode == "ab":
            write = file.write

            class Full:
                def __enter__(self):
                    return self

                def __exit__(self, *_):
                    file.close()

                def write(self, piece):
                    if file.tell() >= 100_000:
                        raise OSError(errno.ENOSPC, "No space left on device")
                    return write(piece)

            return Full()
        return file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(OSError, match="No space left"):
            download(server.url, part, limit=LIMIT)
    kept = part.stat().st_size
    assert 0 < kept < len(BODY)
    assert part.read_bytes() == BODY[:kept]
    server.requests.clear()
    assert download(server.url, part, limit=LIMIT) == SHA256
    assert server.requests[0]["Range"] == f"bytes={kept}-"


def test_progress_is_shown_on_a_terminal_only(server, part, monkeypatch, capsys):
    download(server.url, part, limit=LIMIT)
    assert capsys.readouterr() == ("", "")
    forget(part)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    download(server.url, part, limit=LIMIT)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "file.bin" in shown.err
    assert "300.0/300.0 kB" in shown.err
