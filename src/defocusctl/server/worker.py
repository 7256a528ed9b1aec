"""Restores the photos of a server one after the other, and makes the files that are downloaded."""

import shutil
import time
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from defocusctl.deblurrer import Deblurrer, DeblurResult
from defocusctl.errors import BugError, DefocusctlError, UsageError
from defocusctl.models.plugins import check_model
from defocusctl.photo import output_path
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.server.photos import CancelledError, Photos, ServedPhoto, Status
from defocusctl.server.pictures import BLUR_MAP, write_blur_map, write_pictures
from defocusctl.system.atomic import atomic_write, make_folder

ZIP = "deblurred.zip"


@dataclass(frozen=True)
class ServeSettings:
    """``restoring`` applies to all photos but for scale, strength and max_blur.

    ``weights`` are used for ``model``; other networks get the first weights available. ``port`` 0 is a free
    one; ``max_bytes`` is the size of the largest file, ``max_photos`` their number. A page that has been
    closed for ``forget_after`` seconds is forgotten with its photos.
    """

    host: str
    port: int
    model: str
    weights: str | None
    offline: bool
    restoring: RestoreSettings
    white: float | None
    max_megapixels: float
    max_bytes: int
    max_photos: int
    forget_after: float


@dataclass(frozen=True)
class Choice:
    """A photo to download, with the values chosen for it."""

    photo: ServedPhoto
    strength: float
    max_blur: float | None


class Worker:
    """Everything that computes. ``on_bug`` gets the line about an unexpected error."""

    def __init__(self, photos: Photos, settings: ServeSettings, on_bug: Callable[[str], None]) -> None:
        self._photos = photos
        self._settings = settings
        self._reading: dict[str, Any] = {"max_megapixels": settings.max_megapixels, "white": settings.white}
        self._on_bug = on_bug
        self._loaded = lru_cache(maxsize=4)(self._load)
        self._loading = Lock()
        self._preparing = Lock()

    def check(self, model: str, scale: str) -> None:
        """Refuse a network or a scale that does not exist.

        Raises:
            ModelError: if there is no such network.
            UsageError: if there is no such scale.
        """
        check_model(model)
        replace(self._settings.restoring, scale=scale)

    def work(self) -> None:
        """Restore photos until they are closed; what is wrong with one is said on the page."""
        for photo in self._photos.turns():
            try:
                self._restore(photo)
                photo.status = Status.DONE
            except CancelledError:
                pass
            except DefocusctlError as error:
                photo.fail(error)
            except Exception as error:
                bug = BugError(error)
                self._on_bug(str(bug))
                photo.fail(bug)

    def deblurrer(self, model: str, scale: str) -> Deblurrer:
        """The loaded network.

        Raises:
            WeightsError: if its weights are not available.
            DeviceError: if the device, precision or backend is not.
        """
        with self._loading:  # or two threads would each load the same network
            return self._loaded(model, scale)

    def _load(self, model: str, scale: str) -> Deblurrer:
        settings = self._settings
        weights = settings.weights if model == settings.model else None
        restoring = replace(settings.restoring, scale=scale)
        return Deblurrer.load(model, weights, restoring, offline=settings.offline)

    def _restore(self, photo: ServedPhoto) -> None:
        started = time.monotonic()

        def on_tile(done: int, total: int) -> None:
            if photo.removed:
                raise CancelledError("the photo was removed")
            photo.tiles = (done, total)

        deblurrer = self.deblurrer(*photo.wanted)
        result = deblurrer.deblur(photo.source, keep_change=True, on_tile=on_tile, **self._reading)
        shown = write_pictures(photo.folder / str(photo.round + 1), result.parts[0])
        shutil.rmtree(photo.pictures, ignore_errors=True)
        photo.model, photo.scale = photo.wanted
        photo.change, photo.shown, photo.warnings = result.change, shown, result.warnings
        photo.seconds = time.monotonic() - started
        photo.round += 1

    def _result(self, choice: Choice) -> DeblurResult[Any]:
        photo, change = choice.photo, choice.photo.change
        if photo.status is Status.FAILED:
            raise UsageError(f"'{photo.source.name}' could not be restored", "remove it")
        if photo.status is not Status.DONE or change is None:
            raise UsageError(f"'{photo.source.name}' is not restored yet", "wait until it is")
        return self.deblurrer(photo.model, photo.scale).apply_change(
            change, photo.source, strength=choice.strength, max_blur=choice.max_blur, **self._reading
        )

    def blur_map(self, photo: ServedPhoto) -> Path:
        """The picture of a photo's blur radius, drawn when it is first looked at.

        Raises:
            DefocusctlError: if it cannot be drawn.
        """
        with self._preparing:
            path = photo.pictures / BLUR_MAP
            if path.exists():
                return path
            return write_blur_map(photo.pictures, self._result(Choice(photo, 1.0, None)).parts[0])

    def prepare(self, choices: Sequence[Choice], folder: Path) -> tuple[Path, tuple[str, ...]]:
        """Write the results of photos in place of what is in ``folder``; several go into a zip.

        The file and the warnings are those of ``defocusctl deblur`` with these options.

        Raises:
            DefocusctlError: if a result cannot be made.
        """
        with self._preparing:
            shutil.rmtree(folder, ignore_errors=True)
            make_folder(folder)
            made: list[Path] = []
            notes: list[str] = []
            for choice in choices:
                name = output_path(choice.photo.source, folder).name
                target = folder / _free_name(name, [path.name for path in made])
                lost = self._result(choice).save(target)
                notes += [f"{choice.photo.source.name}: {line}" for line in lost]
                made.append(target)
            if len(made) == 1:
                return target, tuple(notes)
            with (
                atomic_write(folder / ZIP) as file,
                zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
            ):
                for path in made:
                    archive.write(path, path.name)
                    path.unlink()
            return folder / ZIP, tuple(notes)


def _free_name(name: str, taken: Iterable[str]) -> str:
    """A name that is not taken on any file system: ``photo_deblurred (2).jpg``."""
    path, number = Path(name), 1
    same = {_folded(each) for each in taken}
    while _folded(name) in same:
        number += 1
        name = f"{path.stem} ({number}){path.suffix}"
    return name


def _folded(name: str) -> str:
    """What file systems compare that ignore case and how letters are composed."""
    return unicodedata.normalize("NFC", name.casefold())
