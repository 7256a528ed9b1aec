"""A weights entry -> a verified file on this machine: bundled, cached, or downloaded now.

A file gets its final name only after its checksum is verified: it is downloaded to a ``.part`` file,
verified, synced and renamed, under a lock that makes a second process wait and then find the file. An
interrupted HTTP download stays in the ``.part``, with the validator (ETag or Last-Modified) of its version
beside it, so that the next attempt, or the next process, continues that version or starts afresh.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from defocusctl import __version__
from defocusctl.errors import WeightsError
from defocusctl.system.atomic import publish
from defocusctl.weights.cache import cached_file, is_intact, lock_of, present_file, source_note
from defocusctl.weights.checksums import Checksum
from defocusctl.weights.hub import HUB, HubFile, OnProgress, fetch_from_hub, hub_is_offline
from defocusctl.weights.registry import WeightsEntry

if TYPE_CHECKING:
    import httpx

PASSING_STATUSES = {408, 425, 429, 500, 502, 503, 504}
ATTEMPTS = 3
FIRST_PAUSE = 0.5  # seconds; each pause is twice the previous one
CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 30.0  # seconds


def ensure_file(entry: WeightsEntry, *, offline: bool, on_progress: OnProgress | None = None) -> Path:
    """The file of ``entry``, with its checksum verified; downloaded first if need be and allowed.

    Raises:
        WeightsError: if it is not available, for example because of ``offline`` or ``HF_HUB_OFFLINE``.
    """
    target = cached_file(entry)
    try:
        present = present_file(entry)
        if present is not None and is_intact(entry, present):
            return present
        _refuse_unless_fetchable(entry, present, offline=offline or hub_is_offline())
        target.parent.mkdir(parents=True, exist_ok=True)
        with lock_of(target):
            if not (target.is_file() and is_intact(entry, target)):
                _fetch(entry, target, on_progress)
    except OSError as error:
        remedy = "check its permissions and the space there, or move the cache with DEFOCUSCTL_CACHE"
        raise WeightsError(f"cannot use {target} ({error.strerror or error})", remedy) from error
    return target


def _refuse_unless_fetchable(entry: WeightsEntry, present: Path | None, *, offline: bool) -> None:
    state = f"damaged ({present})" if present else "not here"
    if not entry.remote_sources:
        raise WeightsError(f"the bundled weights {entry.label} are {state}", "reinstall defocusctl")
    if offline:
        raise WeightsError(
            f"the weights {entry.label} are {state} and the network is off",
            f"run 'defocusctl weights fetch {entry.label}' while online, or use --weights bundled or PATH",
        )


def _fetch(entry: WeightsEntry, target: Path, on_progress: OnProgress | None) -> None:
    """Try the sources in order until one delivers the right file, and put it at ``target``."""
    part = target.with_name(f"{target.name}.part")
    failures = []
    for source in entry.remote_sources:
        try:
            if source.startswith(HUB):
                fetch_from_hub(HubFile.parse(source), part, on_progress)
            else:
                _fetch_url(source, part, on_progress)
            found = Checksum.of_file(part, entry.checksum.full_kind)
            if not entry.checksum.matches(found):
                _discard(part)
                raise WeightsError(f"{source}: the file is {found}, not {entry.checksum}")
        except WeightsError as error:
            failures.append(error.cause)
        else:
            source_note(target).write_text(source, encoding="utf-8")
            publish(part, target, force=True)
            _discard(part)
            return
    remedy = "try again later, or get the file by hand and use --weights PATH, or use --weights bundled"
    raise WeightsError(f"the weights {entry.label} could not be fetched: {'; '.join(failures)}", remedy)


def _fetch_url(url: str, part: Path, on_progress: OnProgress | None) -> None:
    """Download ``url`` to ``part``, continuing a partial download of the same version."""
    import httpx

    timeout = httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT)
    headers = {"User-Agent": f"defocusctl/{__version__}", "Accept-Encoding": "identity"}
    try:
        client = httpx.Client(follow_redirects=True, timeout=timeout, headers=headers)
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise WeightsError(f"the proxy settings cannot be used ({error})", "fix HTTPS_PROXY") from error
    problem = ""
    with client:
        for attempt in range(ATTEMPTS):
            if attempt > 0:
                time.sleep(FIRST_PAUSE * 2 ** (attempt - 1))
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


def _stream(client: "httpx.Client", url: str, part: Path, on_progress: OnProgress | None) -> None:
    import httpx

    validator = _validator_of(part, url)
    done = part.stat().st_size if validator else 0
    headers = {"Range": f"bytes={done}-", "If-Range": validator} if done else {}
    with client.stream("GET", url, headers=headers) as response:
        if done and response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            _discard(part)
            raise httpx.RemoteProtocolError("the server refused to continue a broken download")
        response.raise_for_status()
        if not (done and response.headers.get("Content-Range", "").startswith(f"bytes {done}-")):
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
    """Empty ``part``, and record which version of ``url`` it will hold. A weak ETag does not identify one."""
    _discard(part)
    etag = headers.get("ETag", "")
    validator = etag if etag.startswith('"') else headers.get("Last-Modified", "")
    if validator:
        _validator_file(part).write_text(f"{url}\n{validator}\n", encoding="utf-8")
    part.touch()


def _validator_of(part: Path, url: str) -> str:
    """The validator of the partial download of ``url`` in ``part``; empty if there is nothing to continue."""
    try:
        written_url, validator = _validator_file(part).read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ValueError):
        return ""
    return validator if written_url == url and part.is_file() else ""


def _validator_file(part: Path) -> Path:
    return part.with_name(f"{part.name}-version")


def _discard(part: Path) -> None:
    """Remove a partial download and its validator."""
    part.unlink(missing_ok=True)
    _validator_file(part).unlink(missing_ok=True)
