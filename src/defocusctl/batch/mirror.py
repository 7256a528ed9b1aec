"""Folders in object stores (``s3://bucket/folder``), each behind a folder of this machine that stands for it.

A path below the folder here means the object of the same name there. While a batch is planned, empty files
of the objects' names and sizes lie here, so that looking for photos and for what exists is the same as on a
disk. Contents travel one by one: a photo is fetched when it is its turn, a result is published when whole.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from defocusctl.errors import InputError, OutputError, UsageError

STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
"""Protocols of fsspec behind which an object appears whole or not at all."""


class Listed(NamedTuple):
    """What a listing tells of an object: its bytes, and what changes with its content (None: nothing)."""

    size: int
    stamp: str | None


@dataclass(frozen=True)
class Mirror:
    """The folder ``local`` of this machine, which stands for ``url``; it can be pickled."""

    local: Path
    url: str

    def holds(self, path: Path) -> bool:
        return path.is_relative_to(self.local)

    def fetch(self, path: Path) -> None:
        """Bring the content of an object here; if there is no such object, no file either.

        Raises:
            InputError: if the store does not give it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        try:
            self._store().get_file(self._key(path), str(path))
        except FileNotFoundError:
            path.unlink(missing_ok=True)
        except Exception as error:  # the libraries of stores promise no closed set
            path.unlink(missing_ok=True)
            raise InputError(
                f"cannot fetch '{self.name(path)}' ({_reason(error)})", "try again, or check the store"
            ) from error

    def publish(self, path: Path) -> None:
        """Put a file of this machine in the store, in place of the object of its name.

        Raises:
            OutputError: if the store does not take it.
        """
        with self._writing(path):
            self._store().put_file(str(path), self._key(path))

    def write(self, path: Path, content: bytes) -> None:
        """As ``publish``, from memory."""
        with self._writing(path):
            self._store().pipe_file(self._key(path), content)

    def create(self, path: Path, content: bytes) -> bool:
        """Write an object unless there is one; whether it was written. Of several who try, one succeeds."""
        with self._writing(path):
            try:
                self._store().pipe_file(self._key(path), content, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                if "PreconditionFailed" not in repr((error, error.__cause__)):
                    raise
                return False
        return True

    def remove(self, paths: Iterable[Path]) -> None:
        for path in paths:
            with self._writing(path):
                try:
                    self._store().rm_file(self._key(path))
                except FileNotFoundError:
                    continue

    def read(self, path: Path) -> bytes | None:
        """The content of an object; None if there is none.

        Raises:
            InputError: if the store does not give it.
        """
        try:
            content: bytes = self._store().cat_file(self._key(path))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise InputError(
                f"cannot read '{self.name(path)}' ({_reason(error)})", "check the store"
            ) from error
        return content

    def sha256(self, path: Path) -> str | None:
        """The hash of an object, which is read whole; None if it cannot be."""
        try:
            with self._store().open(self._key(path), "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except Exception:
            return None

    def head(self, path: Path, count: int) -> bytes | None:
        """The first ``count`` bytes of an object; None if they cannot be read."""
        try:
            content: bytes = self._store().cat_file(self._key(path), start=0, end=count)
        except Exception:
            return None
        return content

    def stamp(self, path: Path) -> str | None:
        """That of an object, as ``objects`` lists it; None if the store does not tell."""
        try:
            return _listed(self._store().info(self._key(path))).stamp
        except Exception:
            return None

    def objects(self, folder: str = "") -> dict[Path, Listed]:
        """Every object below the folder, or below one in it, by the path that stands for it.

        Raises:
            InputError: if they cannot be listed, or one has a name that no file can have.
        """
        store = self._store()
        root = self._root().rstrip("/")
        try:
            found = store.find(f"{root}/{folder}".rstrip("/"), detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:
            raise InputError(
                f"cannot list '{self.url}' ({_reason(error)})", "check the address and the permissions"
            ) from error
        objects = {}
        for key, about in found.items():
            name = key.removeprefix(root).lstrip("/") if key != root else ""
            if name and any(part in ("", ".", "..") for part in name.split("/")):
                raise InputError(f"'{key}' has a name that no file can have", "rename the object")
            if name:
                objects[self.local / name] = _listed(about)
        return objects

    def lay_out(self, sizes: Iterable[tuple[Path, int]]) -> None:
        """Make the empty files that stand for objects."""
        folders: set[Path] = set()
        for path, size in sizes:
            try:
                if path.parent not in folders:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    folders.add(path.parent)
                with path.open("xb") as file:
                    file.truncate(size)
            except OSError as error:
                raise InputError(
                    f"'{self.name(path)}' cannot be the name of a file ({error.strerror})",
                    "rename the object",
                ) from error

    def contains(self, other: "Mirror") -> bool:
        """Whether the other's objects are below this one's folder, or are the same."""
        here, there = (_open_store(mirror.url) for mirror in (self, other))
        roots = (f"{root.rstrip('/')}/" for _, root in (here, there))
        inner, outer = reversed(tuple(roots))
        return type(here[0]) is type(there[0]) and inner.startswith(outer)

    def name(self, path: Path) -> str:
        """The URL that ``path`` stands for."""
        return f"{self.url}/{path.relative_to(self.local).as_posix()}"

    def _key(self, path: Path) -> str:
        return f"{self._root().rstrip('/')}/{path.relative_to(self.local).as_posix()}"

    def _root(self) -> str:
        return _open_store(self.url)[1]

    def _store(self) -> Any:
        return _open_store(self.url)[0]

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise OutputError(
                f"cannot write '{self.name(path)}' ({_reason(error)})", "check the store and the permissions"
            ) from error


def _open_store(url: str) -> tuple[Any, str]:
    protocol = url.partition("://")[0]
    if protocol not in STORES:
        raise UsageError(
            f"'{protocol}://' is not a store that this program writes to",
            f"use {', '.join(STORES[:-1])}, or mount it and give the folder",
        )
    import fsspec

    try:
        store, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise UsageError(f"cannot open '{url}' ({error})", "install fsspec's package for it") from error
    return store, root


def _listed(about: Mapping[str, Any]) -> Listed:
    """What fsspec tells of an object; its ETag, which stores change with the content, makes the stamp."""
    size = int(about.get("size") or 0)
    tag = str(about.get("ETag") or about.get("etag") or "").strip('"')
    return Listed(size, f"{size}-{tag}" if tag else None)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200]
