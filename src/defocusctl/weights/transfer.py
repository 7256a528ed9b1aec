"""One URL -> one file, over HTTP: redirects, proxies, retries, and resuming after a break.

What has arrived stays in the file; beside it lies the validator (ETag or Last-Modified) of the version it is
of, so that the next attempt, or the next process, continues that version or starts afresh on another.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from defocusctl import __version__
from defocusctl.errors import WeightsError

if TYPE_CHECKING:
    import httpx

OnProgress = Callable[[int, int | None], None]  # bytes done, bytes in all where known

PASSING_STATUSES = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Patience:
    """How long to put up with a bad connection; times are in seconds, and each pause is twice the last."""

    attempts: int = 3
    first_pause: float = 0.5
    connect_timeout: float = 5.0
    read_timeout: float = 30.0


def fetch_url(url: str, part: Path, on_progress: OnProgress | None, patience: Patience) -> None:
    """Bring the file at ``url`` to ``part``, continuing what ``part`` holds of the same version.

    Raises:
        WeightsError: if the server has no such file, or cannot be reached within ``patience``.
        OSError: if ``part`` cannot be written.
    """
    import httpx

    timeout = httpx.Timeout(patience.read_timeout, connect=patience.connect_timeout)
    headers = {"User-Agent": f"defocusctl/{__version__}", "Accept-Encoding": "identity"}
    try:
        client = httpx.Client(follow_redirects=True, timeout=timeout, headers=headers)
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise WeightsError(f"the proxy settings cannot be used ({error})", "fix HTTPS_PROXY") from error
    problem = ""
    with client:
        for attempt in range(patience.attempts):
            if attempt > 0:
                time.sleep(patience.first_pause * 2 ** (attempt - 1))
            try:
                _stream(client, url, part, on_progress)
                return
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                problem = f"HTTP status {status} {error.response.reason_phrase}".rstrip()
                if status not in PASSING_STATUSES:
                    break
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                problem = str(error) or type(error).__name__
                if not isinstance(error, httpx.TransportError) or isinstance(error, httpx.ConnectTimeout):
                    break
    raise WeightsError(f"{url}: {problem}")


def discard(part: Path) -> None:
    """Remove a part and its validator."""
    part.unlink(missing_ok=True)
    _validator_file(part).unlink(missing_ok=True)


def _stream(client: "httpx.Client", url: str, part: Path, on_progress: OnProgress | None) -> None:
    import httpx

    validator = _validator_of(part, url)
    done = part.stat().st_size if validator else 0
    headers = {"Range": f"bytes={done}-", "If-Range": validator} if done else {}
    with client.stream("GET", url, headers=headers) as response:
        if done and response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            discard(part)
            raise httpx.RemoteProtocolError("the server refused to continue a broken download")
        response.raise_for_status()
        expected = f"bytes {done}-"
        resumed = done > 0 and response.headers.get("Content-Range", "").startswith(expected)
        if not resumed:
            done = 0
            _start(part, url, response.headers)
        length = response.headers.get("Content-Length", "")
        total = done + int(length) if length.isdecimal() else None
        with part.open("ab") as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                done += len(chunk)
                if on_progress is not None:
                    on_progress(done, total)


def _start(part: Path, url: str, headers: "httpx.Headers") -> None:
    """Empty ``part``, and note which version of ``url`` it is going to hold. A weak ETag cannot tell."""
    discard(part)
    etag = headers.get("ETag", "")
    validator = etag if etag.startswith('"') else headers.get("Last-Modified", "")
    if validator:
        _validator_file(part).write_text(f"{url}\n{validator}\n", encoding="utf-8")
    part.touch()


def _validator_of(part: Path, url: str) -> str:
    """The validator of what ``part`` holds of ``url``; empty if there is nothing to continue."""
    try:
        written_url, validator = _validator_file(part).read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ValueError):
        return ""
    return validator if written_url == url and part.is_file() else ""


def _validator_file(part: Path) -> Path:
    return part.with_name(f"{part.name}-version")
