"""Runs the server: its private folder, its socket, the thread that restores, and a clean end."""

import asyncio
import os
import secrets
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread
from types import FrameType

import uvicorn
from filelock import FileLock, Timeout

from defocusctl import __version__
from defocusctl.errors import UsageError
from defocusctl.models.plugins import check_model, model_names
from defocusctl.photo.targets import ONLY_READ, SUFFIXES
from defocusctl.reports.page import page_pieces
from defocusctl.restoring.levels import CELL
from defocusctl.restoring.settings import SCALE_NAMES
from defocusctl.server.photos import Photos
from defocusctl.server.pictures import TILE
from defocusctl.server.requests import is_loopback
from defocusctl.server.site import Site
from defocusctl.server.worker import ServeSettings, Worker
from defocusctl.system.atomic import make_folder, write_error
from defocusctl.system.paths import cache_dir

PREFIX = "defocusctl-serve-"
LOCK = "lock"
GRACE_SECONDS = 2  # how long a download that is under way may go on after Ctrl-C


def serve(settings: ServeSettings, *, on_ready: Callable[[str], None], on_bug: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; ``on_ready`` gets the address of the page.

    Raises:
        UsageError: if the address cannot be used.
        WeightsError, DeviceError: as ``Worker.deblurrer``.
        OutputError: if there is no place for the photos.
    """
    check_model(settings.model)
    token = secrets.token_urlsafe(24)
    with _listening(settings.host, settings.port) as listener, _private_folder() as folder:
        photos = Photos(folder, settings.max_photos)
        worker = Worker(photos, settings, on_bug)
        worker.deblurrer(settings.model, settings.restoring.scale)
        site = Site(photos, worker, _html(settings), settings, on_bug)
        config = uvicorn.Config(
            site.app(token),
            http="h11",
            ws="none",
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        thread = Thread(target=worker.work, name="restoring", daemon=True)
        thread.start()
        try:
            on_ready(_address(settings.host, listener.getsockname()[1], token))
            asyncio.run(_Server(config, site).serve([listener]))
        finally:
            photos.close()
            thread.join()


class _Server(uvicorn.Server):
    """Ends at the first signal without raising it again; pages that are open are let go."""

    def __init__(self, config: uvicorn.Config, site: Site) -> None:
        super().__init__(config)
        self._site = site

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        del sig, frame
        self.force_exit = self.should_exit
        self.should_exit = self._site.stopping = True


@contextmanager
def _private_folder() -> Iterator[Path]:
    """A folder below the system's temporary folder that only this user can enter, for the block.

    Folders whose servers were killed are removed first. A folder's server holds the lock in it; the lock in
    the cache is held while folders are made and removed, so that none is removed before it is locked.
    """
    make_folder(cache_dir())
    parent = Path(tempfile.gettempdir())
    with ExitStack() as stack:
        try:
            with FileLock(cache_dir() / "serve.lock"):
                _remove_abandoned(parent)
                made = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
                folder = Path(stack.enter_context(made))
                stack.enter_context(FileLock(folder / LOCK))
        except OSError as error:
            raise write_error(parent, error) from error
        yield folder


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError, Timeout):  # it is in use, or has just gone
            if _is_ours(folder):
                FileLock(folder / LOCK, blocking=False).acquire().lock.release()
                shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    facts = folder.lstat()
    return stat.S_ISDIR(facts.st_mode) and (not hasattr(os, "getuid") or facts.st_uid == os.getuid())


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number and number > 0 else str(error)
        cause = f"cannot listen on {host}, port {port} ({reason})"
        raise UsageError(cause, "use another --host or --port, 0 for a free one") from error


def _address(host: str, port: int, token: str) -> str:
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/{token}/"


def _html(settings: ServeSettings) -> str:
    suffixes = [suffix for group in SUFFIXES.values() for suffix in group] + list(ONLY_READ)
    values = {
        "software": f"defocusctl {__version__}",
        "local": is_loopback(settings.host),
        "accept": ",".join(["image/*", *suffixes]),
        "data": {
            "models": model_names(),
            "model": settings.model,
            "scales": SCALE_NAMES,
            "maxBytes": settings.max_bytes,
            "tile": TILE,
            "cell": CELL,
            "forgetAfter": settings.forget_after,
        },
    }
    return "".join(page_pieces("serve", values, images="'self' data:", connections="'self'"))
