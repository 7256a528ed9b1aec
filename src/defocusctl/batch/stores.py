"""Folders in object stores (``s3://bucket/folder``), each behind a folder of this machine that stands for it.

A path below the folder here means the object of the same name there. While a batch is planned, empty files
of the objects' names and sizes lie here, so that looking for photos and for what exists is the same as on a
disk. Contents travel one by one: a photo is fetched when it is its turn, a result is published when whole.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from defocusctl.errors import InputError, OutputError, UsageError

PROTOCOLS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
"""Those of fsspec behind which an object appears whole or not at all."""


class Listed(NamedTuple):
    """What a listing says of an object: its bytes, and what changes with its content (None: nothing)."""

    size: int
    stamp: str | None


@dataclass(frozen=True)
class Store:
    """The folder ``local`` of this machine, which stands for ``url``; it can be pickled."""

    local: Path
    url: str

    def holds(self, path: str | Path) -> bool:
        return f"{path}{os.sep}".startswith(f"{self.local}{os.sep}")

    def read(self, path: Path, end: int | None = None) -> bytes | None:
        """The content of an object, or its first ``end`` bytes; None if there is none.

        Raises:
            InputError: if the store does not give it.
        """
        try:
            with self._asking("read", path):
                content: bytes = self._files.cat_file(self._key(path), start=0 if end else None, end=end)
                return content
        except FileNotFoundError:
            return None

    @contextmanager
    def fetched(self, path: Path) -> Iterator[None]:
        """During this block the content of an object lies here; if there is no such object, no file.

        Raises:
            InputError: if the store does not give it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        try:
            with suppress(FileNotFoundError), self._asking("fetch", path):
                self._files.get_file(self._key(path), str(path))
            yield
        finally:
            path.unlink(missing_ok=True)

    def publish(self, path: Path) -> str | None:
        """Put a file of this machine in the store, in place of the object of its name; return its stamp.

        Raises:
            OutputError: if the store does not take it.
        """
        with self._writing(path):
            self._files.put_file(str(path), self._key(path))
        with suppress(Exception):  # not every store allows to ask
            return _listed(self._files.info(self._key(path))).stamp
        return None

    def write(self, path: Path, content: bytes) -> None:
        """As ``publish``, from memory."""
        with self._writing(path):
            self._files.pipe_file(self._key(path), content)

    def create(self, path: Path, content: bytes) -> bool:
        """Write an object unless there is one; whether it was written. Of several who try, one succeeds."""
        with self._writing(path):
            try:
                self._files.pipe_file(self._key(path), content, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                if "PreconditionFailed" not in repr((error, error.__cause__)):
                    raise
                return False
        return True

    def remove(self, paths: Iterable[Path]) -> None:
        for path in paths:
            with self._writing(path), suppress(FileNotFoundError):
                self._files.rm_file(self._key(path))

    def objects(self, folder: str = "") -> dict[str, Listed]:
        """Every object below the folder, or below one in it, by the path that stands for it.

        Raises:
            InputError: if they cannot be listed, or one has a name that no file can have.
        """
        root = self._root
        try:
            with self._asking("list", self.local):
                found = self._files.find(f"{root}/{folder}".rstrip("/"), detail=True)
        except FileNotFoundError:
            return {}
        objects = {}
        for key, about in found.items():
            name = key.removeprefix(root).lstrip("/") if key != root else ""
            if name and any(part in ("", ".", "..") for part in name.split("/")):
                raise InputError(f"'{key}' has a name that no file can have", "rename the object")
            if name:
                objects[f"{self.local}{os.sep}{name.replace('/', os.sep)}"] = _listed(about)
        return objects

    def lay_out(self, objects: Mapping[str, Listed]) -> dict[str, str | None]:
        """Make the empty files that stand for objects; return the objects' stamps by path."""
        self.local.mkdir(exist_ok=True)
        folders: set[str] = set()
        for path, listed in objects.items():
            try:
                if (folder := path.rpartition(os.sep)[0]) not in folders:
                    Path(folder).mkdir(parents=True, exist_ok=True)
                    folders.add(folder)
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
                os.ftruncate(descriptor, listed.size)
                os.close(descriptor)
            except OSError as error:
                raise InputError(
                    f"'{self.name(Path(path))}' cannot be the name of a file ({error.strerror})",
                    "rename the object",
                ) from error
        return {path: listed.stamp for path, listed in objects.items()}

    def contains(self, other: "Store") -> bool:
        """Whether the other's objects are below this one's folder, or are the same."""
        same_kind = type(self._files) is type(other._files)
        return same_kind and f"{other._root}/".startswith(f"{self._root}/")

    def name(self, path: Path) -> str:
        """The URL that ``path`` stands for."""
        below = path.relative_to(self.local).as_posix()
        return self.url if below == "." else f"{self.url}/{below}"

    def _key(self, path: Path) -> str:
        return f"{self._root}/{path.relative_to(self.local).as_posix()}"

    @property
    def _files(self) -> Any:
        return _open(self.url)[0]

    @property
    def _root(self) -> str:
        return _open(self.url)[1]

    @contextmanager
    def _asking(self, what: str, path: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:  # the libraries of stores promise no closed set
            raise InputError(
                f"cannot {what} '{self.name(path)}' ({_reason(error)})",
                "check the address, the permissions and the store",
            ) from error

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise OutputError(
                f"cannot write '{self.name(path)}' ({_reason(error)})", "check the store and the permissions"
            ) from error


def _open(url: str) -> tuple[Any, str]:
    """The store of fsspec behind a URL, and the key of its folder there."""
    protocol = url.partition("://")[0]
    if protocol not in PROTOCOLS:
        raise UsageError(
            f"'{protocol}://' is not a store that this program writes to",
            f"use {', '.join(PROTOCOLS[:-1])}, or mount it and give the folder",
        )
    import fsspec

    try:
        store, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise UsageError(f"cannot open '{url}' ({error})", "install fsspec's package for it") from error
    return store, root.rstrip("/")


def _listed(about: Mapping[str, Any]) -> Listed:
    """What fsspec says of an object; its ETag, which stores change with the content, makes the stamp."""
    size = int(about.get("size") or 0)
    tag = str(about.get("ETag") or about.get("etag") or "").strip('"')
    return Listed(size, f"{size}-{tag}" if tag else None)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200]
