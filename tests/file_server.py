"""A web server for downloads, on this machine, that misbehaves on request."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """Serves one file at every path; what it does is set between requests.

    Attributes:
        body: The file.
        url: Its address.
        ranges: Whether parts can be asked for.
        minds_if_range: Whether a part of a file that has changed is the whole new file.
        etag: Whether an entity tag, which changes with the body, is sent.
        cut_after: Bytes after which the connection is dropped; None for whole answers.
        statuses: Answered, in this order, before the file is.
        headers: Sent besides the usual ones; an empty value leaves one out.
        answer: Answers wait for it.
        requests: The headers of every request so far.
        sent: Bytes of bodies sent so far.
    """

    body: bytes = field(repr=False)
    url: str = ""
    ranges: bool = True
    minds_if_range: bool = True
    etag: bool = True
    cut_after: int | None = None
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    answer: threading.Event = field(default_factory=threading.Event)
    requests: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0

    def tag(self) -> str:
        return f'"{hashlib.md5(self.body).hexdigest()}"'


@contextmanager
def serve(body: bytes) -> Iterator[FileServer]:
    """Serve a file until the block ends."""
    files = FileServer(body)
    files.answer.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            files.requests.append(dict(self.headers))
            files.answer.wait(60)
            if files.statuses:
                self.send_error(files.statuses.pop(0))
                return
            body, first = files.body, 0
            asked = self.headers.get("Range")
            same = self.headers.get("If-Range", files.tag()) == files.tag() or not files.minds_if_range
            if files.ranges and asked and same:
                first = int(asked.removeprefix("bytes=").removesuffix("-"))
            if first > len(body):
                self.send_error(416)
                return
            headers = {"Content-Length": str(len(body) - first), "Content-Type": "application/octet-stream"}
            if first:
                headers["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
            if files.etag:
                headers["ETag"] = files.tag()
            self.send_response(206 if first else 200)
            for name, value in {**headers, **files.headers}.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            rest = body[first:][: files.cut_after]
            files.sent += len(rest)
            # A client that has had enough, or was told to stop, hangs up.
            with suppress(ConnectionError):
                self.wfile.write(rest)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    files.url = f"http://127.0.0.1:{server.server_port}/folder/file.bin"
    try:
        yield files
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
