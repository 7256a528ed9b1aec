"""A running ``defocusctl serve`` as a process of its own, and photos for it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter

from tests.cli.command import textured

SESSION = "0123456789abcdef" * 2
OPTIONS = ("--weights", "bundled", "--offline", "--device", "cpu")
"""Of the servers and of the commands whose results are compared."""


@dataclass
class Server:
    """``temporary`` is the temporary folder of the process, which belongs to it alone."""

    process: "subprocess.Popen[str]"
    address: str
    temporary: Path

    @property
    def port(self) -> int:
        return urlsplit(self.address).port or 0

    @property
    def path(self) -> str:
        """The path of the page: its token between slashes."""
        return urlsplit(self.address).path

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Status and body of the answer to a request for a path below that of the page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        try:
            connection.request(method, self.path + path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def upload(self, photo: Path, name: str | None = None, session: str = SESSION) -> str:
        """Drop a photo on the page of a session; returns its id."""
        path = f"{session}/photos?model=iniknet&scale=auto&name={quote(name or photo.name)}"
        status, answer = self.ask("POST", path, photo.read_bytes())
        assert status == 201, answer
        key: str = json.loads(answer)["id"]
        return key

    def state(self, session: str = SESSION) -> list[dict[str, Any]]:
        """The photos of a session, as its page gets them first."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        try:
            connection.request("GET", f"{self.path}{session}/events")
            line = connection.getresponse().readline()
            photos: list[dict[str, Any]] = json.loads(line.removeprefix(b"data: "))["photos"]
            return photos
        finally:
            connection.close()

    def finished(self, key: str, session: str = SESSION) -> dict[str, Any]:
        """A photo once it is done or has failed."""
        found: dict[str, Any] = {}

        def is_finished() -> bool:
            found.update(next(photo for photo in self.state(session) if photo["id"] == key))
            return found["status"] in ("done", "failed")

        wait_until(is_finished)
        return found

    def download(self, choices: list[dict[str, Any]], session: str = SESSION) -> tuple[str, bytes]:
        """Name and content of what is prepared for these choices."""
        status, answer = self.ask("POST", f"{session}/results", json.dumps(choices))
        assert status == 200, answer
        path = json.loads(answer)["path"]
        status, content = self.ask("GET", f"{session}/results/{quote(path)}")
        assert status == 200
        return path.rpartition("/")[2], content

    def files(self) -> list[Path]:
        """The folders in its private folder, other than that of what a test has downloaded."""
        folders = (path for path in self.temporary.glob("defocusctl-serve-*/*") if path.is_dir())
        return [folder for folder in folders if folder.name != f"downloads-{SESSION}"]

    def stop(self) -> tuple[int, str]:
        """Exit code after Ctrl-C, and all that was said on stderr."""
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=300)
        return self.process.returncode, said


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait; the test's own timeout ends it if it never holds."""
    while not holds():
        time.sleep(0.05)


@contextmanager
def serving(home: Path, *options: str) -> Iterator[Server]:
    """A server on a free port, ended at the end of the block if it still runs."""
    temporary = home / "temporary"
    temporary.mkdir(exist_ok=True)
    arguments = ["--port", "0", *OPTIONS, *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "defocusctl", "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary), "DEFOCUSCTL_CACHE": str(home / "cache")},
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, process.communicate()[1]
        yield Server(process, address, temporary)
    finally:
        process.kill()
        process.communicate()


def half_blurred(path: Path) -> Path:
    """A photo of 96 x 64 pixels, sharp on the left and blurred on the right, in the format of its suffix."""
    pixels = textured(64, 96)
    pixels[:, 48:] = uniform_filter(pixels[:, 48:].astype(np.float32), (9, 9, 0)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x010F] = "A maker"
    Image.fromarray(pixels).save(path, exif=exif)
    return path
