"""The photos of a server, by the pages they were dropped on, and whose turn it is.

A page in the browser is a session with a key of its own. Sessions take turns, one photo each; the photos of
one session are restored in the order they came. Everything here is called from several threads.
"""

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from itertools import zip_longest
from pathlib import Path
from threading import Condition
from typing import Any

from defocusctl.errors import DefocusctlError, InputError, UsageError, printable
from defocusctl.restoring.change import Change
from defocusctl.server.pictures import Shown
from defocusctl.system.paths import portable_name

SESSION = re.compile("[0-9a-f]{32}")
LONGEST_NAME, LONGEST_SUFFIX, MOST_BYTES = 120, 13, 200
"""Characters of a file's name and of its suffix that are kept, and bytes of both."""


class Status(StrEnum):
    UPLOADING = "uploading"
    WAITING = "waiting"
    COMPUTING = "computing"
    DONE = "done"
    FAILED = "failed"


class CancelledError(DefocusctlError):
    """The photo was removed while it was being restored."""


@dataclass(eq=False)
class ServedPhoto:
    """One photo; ``round`` counts how often it was restored, and names the folder of its pictures.

    ``model`` and ``scale`` are those of its result, ``wanted`` those of the next.
    """

    key: str
    folder: Path
    source: Path
    model: str
    scale: str
    status: Status = Status.UPLOADING
    round: int = 0
    tiles: tuple[int, int] = (0, 0)
    error: str = ""
    warnings: tuple[str, ...] = ()
    shown: Shown | None = None
    seconds: float = 0.0
    change: Change | None = None
    removed: bool = False

    def __post_init__(self) -> None:
        self.wanted = self.model, self.scale

    @property
    def pictures(self) -> Path:
        """The folder of what is shown of it."""
        return self.folder / str(self.round)

    def fail(self, error: Exception) -> None:
        """Say in one line why it cannot be restored, without the name of the private folder.

        An earlier result stays.
        """
        self.status = Status.FAILED if self.change is None else Status.DONE
        self.error = str(error).replace(f"{self.folder}{os.sep}", "")

    def as_json(self, ahead: int) -> dict[str, Any]:
        """What the page shows; ``ahead`` is the number of photos to be restored before it."""
        return {
            "id": self.key,
            "name": self.source.name,
            "model": self.model,
            "scale": self.scale,
            "status": self.status.value,
            "round": self.round,
            "tiles": self.tiles,
            "ahead": ahead,
            "error": self.error,
            "warnings": self.warnings,
            "seconds": round(self.seconds, 2),
            **({} if self.shown is None else asdict(self.shown)),
        }


@dataclass(eq=False)
class Session:
    """The photos of one page; ``streams`` are the pages that are open and the uploads that arrive."""

    key: str
    photos: dict[str, ServedPhoto] = field(default_factory=dict)
    streams: int = 0
    left: float = field(default_factory=time.monotonic)

    def waiting(self) -> list[ServedPhoto]:
        return [photo for photo in self.photos.values() if photo.status is Status.WAITING]


class Photos:
    """All sessions and their photos, in the private ``folder``; at most ``limit`` photos."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._sessions: dict[str, Session] = {}  # in the order of their turns
        self._computing: ServedPhoto | None = None
        self._changed = Condition()
        self._closed = False

    def session(self, key: str) -> Session:
        """The session of that key, which the page has chosen; a new one if there is none."""
        with self._changed:
            return self._sessions.setdefault(key, Session(key))

    @contextmanager
    def present(self, key: str) -> Iterator[Session]:
        """The session of that key, which is not forgotten during the block."""
        with self._changed:
            session = self.session(key)
            session.streams += 1
        try:
            yield session
        finally:
            with self._changed:
                session.streams -= 1
                session.left = time.monotonic()

    def get(self, session: str, key: str) -> ServedPhoto:
        """A photo of a session.

        Raises:
            InputError: if there is none.
        """
        with self._changed:
            found = self._sessions.get(session)
            if found is None or key not in found.photos:
                raise InputError("this photo is not here any more", "drop it again")
            return found.photos[key]

    def reserve(self, session: Session, name: str, model: str, scale: str) -> ServedPhoto:
        """Make a place for a photo that is about to arrive.

        Raises:
            UsageError: if there are too many.
        """
        with self._changed:
            if self._closed or sum(len(each.photos) for each in self._sessions.values()) >= self._limit:
                cause = f"there are {self._limit} photos on this server, which is its limit"
                raise UsageError(cause, "remove some, or start it with --max-photos")
            key = secrets.token_hex(8)
            folder = self._folder / key
            folder.mkdir()
            photo = ServedPhoto(key, folder, folder / safe_name(name), model, scale)
            session.photos[key] = photo
            return photo

    def queue(self, photo: ServedPhoto) -> None:
        """Let a photo wait for its turn."""
        with self._changed:
            photo.status, photo.tiles, photo.error = Status.WAITING, (0, 0), ""
            self._changed.notify_all()

    def remove(self, photo: ServedPhoto) -> None:
        """Remove a photo with its files; if it is being restored, ``turns`` does so once that has stopped."""
        with self._changed:
            photo.removed = True
            for session in self._sessions.values():
                session.photos.pop(photo.key, None)
            photo.status = Status.FAILED  # so that it is not restored
            if photo is not self._computing:
                _delete(photo)

    def forget(self, after: float) -> None:
        """Remove the sessions whose page has not been open for ``after`` seconds."""
        now = time.monotonic()
        with self._changed:
            for key, session in list(self._sessions.items()):
                if session.streams == 0 and now - session.left > after:
                    del self._sessions[key]
                    for photo in list(session.photos.values()):
                        self.remove(photo)
                    shutil.rmtree(self.downloads(session), ignore_errors=True)

    def downloads(self, session: Session) -> Path:
        """The folder of what a session downloads."""
        return self._folder / f"downloads-{session.key}"

    def state(self, session: Session) -> dict[str, Any]:
        """All that a page shows."""
        with self._changed:
            rounds = zip_longest(*(each.waiting() for each in self._sessions.values()))
            in_turn = (photo.key for photos in rounds for photo in photos if photo is not None)
            ahead = {key: place for place, key in enumerate(in_turn, start=self._computing is not None)}
            shown = [photo.as_json(ahead.get(photo.key, 0)) for photo in session.photos.values()]
            return {"photos": shown}

    def turns(self) -> Iterator[ServedPhoto]:
        """The photos by turns, each as soon as the one before is done; ends when closed."""
        while (photo := self._next()) is not None:
            yield photo
            with self._changed:
                self._computing = None
                if photo.removed:
                    _delete(photo)

    def _next(self) -> ServedPhoto | None:
        with self._changed:
            while not self._closed:
                for session in self._sessions.values():
                    if waiting := session.waiting():
                        self._sessions[session.key] = self._sessions.pop(session.key)
                        self._computing = waiting[0]
                        waiting[0].status = Status.COMPUTING
                        return waiting[0]
                self._changed.wait()
            return None

    def close(self) -> None:
        """End ``turns``; the photo being restored counts as removed."""
        with self._changed:
            self._closed = True
            if self._computing is not None:
                self._computing.removed = True
            self._changed.notify_all()


def _delete(photo: ServedPhoto) -> None:
    photo.change = None  # with its file
    shutil.rmtree(photo.folder, ignore_errors=True)


def safe_name(name: str, *, windows: bool = os.name == "nt") -> str:
    """The last part of a path as a browser gives it, as the name of a file in a folder of its own."""
    last = printable(re.split(r"[/\\]", name)[-1]).replace("\\", "_").strip(" .")
    if windows:
        last = portable_name(last)
    path = Path(last)
    kept = f"{path.stem[:LONGEST_NAME]}{path.suffix[:LONGEST_SUFFIX]}"
    while len(kept.encode("utf-8", "replace")) > MOST_BYTES:
        kept = kept[1:]
    return kept if kept.strip("_") else "photo"
