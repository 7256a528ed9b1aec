"""A file server on this machine that misbehaves on request: the stand-in for the web in tests of downloads.

It also answers as a proxy (to requests for whole URLs) and as a hub (``/owner/repo/resolve/revision/file``).
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHUNK = 4096


@dataclass
class Served:
    """One file: its faults are used up one by one, then it is served properly."""

    body: bytes
    etag: str | None = None
    fault_statuses: list[int] = field(default_factory=list)
    truncations: list[int] = field(default_factory=list)  # bytes after which the connection breaks
    redirect: str | None = None
    going_on: threading.Event | None = None  # waited for before the second half of the body

    def __post_init__(self) -> None:
        if self.etag is None:
            self.etag = f'"{hashlib.sha256(self.body).hexdigest()}"'


class Loopback(ThreadingHTTPServer):
    """Serves ``files`` by path (or whole URL, as a proxy) and keeps the books."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Served] = {}
        self.requests: list[tuple[str, str, str | None]] = []  # method, path, Range header
        self.bytes_served = 0
        self.hangs_up = False  # without a word, whatever is asked
        self.books = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def serve(self, path: str, body: bytes) -> Served:
        self.files[path] = Served(body)
        return self.files[path]

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed in the middle are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Loopback

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        wanted_range = self.headers.get("Range")
        with self.server.books:
            self.server.requests.append((self.command, self.path, wanted_range))
        if self.server.hangs_up:
            self.close_connection = True
            return None
        served = self.server.files.get(self.path)
        if served is None:
            return self._send_empty(404)
        if served.fault_statuses:
            return self._send_empty(served.fault_statuses.pop(0))
        if served.redirect is not None:
            return self._send_empty(302, ("Location", served.redirect))
        start = 0
        if wanted_range and self.headers.get("If-Range", served.etag) == served.etag:
            start = int(wanted_range.removeprefix("bytes=").removesuffix("-"))
        if start >= len(served.body) > 0:
            return self._send_empty(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(served.body) - 1}/{len(served.body)}")
        if served.etag:
            self.send_header("ETag", served.etag)
        self.send_header("Content-Length", str(len(served.body) - start))
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        if with_body:
            self._send_body(served, start)
        return None

    def _send_body(self, served: Served, start: int) -> None:
        end = start + served.truncations.pop(0) if served.truncations else len(served.body)
        for position in range(start, min(end, len(served.body)), CHUNK):
            chunk = served.body[position : min(position + CHUNK, end)]
            if served.going_on is not None and position >= len(served.body) // 2:
                served.going_on.wait()
            self.wfile.write(chunk)
            with self.server.books:
                self.server.bytes_served += len(chunk)
        if end < len(served.body):
            self.close_connection = True

    def _send_empty(self, status: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Length", "0"), *headers):
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Loopback]:
    """A running server, stopped at the end."""
    with Loopback() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def dead_url() -> str:
    """A URL on a port of this machine where nobody listens."""
    with suppress(OSError), Loopback() as server:
        return f"{server.url}/nobody.pth"
    raise AssertionError("no free port")
