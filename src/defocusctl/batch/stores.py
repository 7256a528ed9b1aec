"""Folders in object stores (``s3://bucket/folder``), each represented by a local folder.

A path in the local folder means the object of the same name. For planning a batch, it holds empty files with
the objects' names and sizes, so that searching works as on a disk. A photo is downloaded when it is its turn,
and a result is uploaded when it is complete.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from defocusctl.errors import InputError, OutputError, UsageError

PROTOCOLS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
"""fsspec's protocols for stores in which an object appears whole or not at all."""


class Listed(NamedTuple):
    """An object in a listing: its bytes, and a stamp that changes with its content, if there is one."""

    size: int
    stamp: str | None


@dataclass(frozen=True)
class Store:
    """The folder ``url``, represented by the folder ``local``; can be pickled."""

    local: Path
    url: str

    def holds(self, path: str | Path) -> bool:
        return f"{path}{os.sep}".startswith(f"{self.local}{os.sep}")

    def read(self, path: Path, end: int | None = None) -> bytes | None:
        """The content of an object, or its first ``end`` bytes; None if there is none.

        Raises:
            InputError: if the store cannot be read.
        """
        try:
            with self._reading("read", path):
                content: bytes = self._files.cat_file(self._key(path), start=0 if end else None, end=end)
                return content
        except FileNotFoundError:
            return None

    @contextmanager
    def fetched(self, path: Path) -> Iterator[None]:
        """Download an object to ``path`` during this block; without such an object there is no file.

        Raises:
            InputError: if the store cannot be read.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        try:
            with suppress(FileNotFoundError), self._reading("fetch", path):
                self._files.get_file(self._key(path), str(path))
            yield
        finally:
            path.unlink(missing_ok=True)

    def publish(self, path: Path) -> str | None:
        """Upload a file, replacing the object of its name; return the object's stamp.

        Raises:
            OutputError: if the store cannot be written.
        """
        with self._writing(path):
            self._files.put_file(str(path), self._key(path))
        with suppress(Exception):  # not every store permits it
            return _listed(self._files.info(self._key(path))).stamp
        return None

    def write(self, path: Path, content: bytes) -> None:
        """Like ``publish``, from memory."""
        with self._writing(path):
            self._files.pipe_file(self._key(path), content)

    def create(self, path: Path, content: bytes) -> bool:
        """Atomically create an object; return False if it exists."""
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
        """All objects in the store's folder, or in one of its folders, by local path.

        Raises:
            InputError: if they cannot be listed, or one has a name that no file can have.
        """
        root = self._root
        try:
            with self._reading("list", self.local):
                found = self._files.find(f"{root}/{folder}".rstrip("/"), detail=True)
        except FileNotFoundError:
            return {}
        objects = {}
        for key, info in found.items():
            name = key.removeprefix(root).lstrip("/") if key != root else ""
            if name and any(part in ("", ".", "..") for part in name.split("/")):
                raise InputError(f"'{key}' has a name that no file can have", "rename the object")
            if name:
                objects[f"{self.local}{os.sep}{name.replace('/', os.sep)}"] = _listed(info)
        return objects

    def create_placeholders(self, objects: Mapping[str, Listed]) -> dict[str, str | None]:
        """Create an empty file for each object; return the objects' stamps by path."""
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
        """Whether the other's folder is this one's or inside it."""
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
    def _reading(self, action: str, path: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:  # the stores' libraries may raise anything
            raise InputError(
                f"cannot {action} '{self.name(path)}' ({_reason(error)})",
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
    """The fsspec file system for a URL, and the key of its folder there."""
    protocol = url.partition("://")[0]
    if protocol not in PROTOCOLS:
        raise UsageError(
            f"'{protocol}://' is not a supported store",
            f"use {', '.join(PROTOCOLS[:-1])}, or a mounted folder",
        )
    import fsspec

    try:
        store, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise UsageError(f"cannot open '{url}' ({error})", "install fsspec's package for it") from error
    return store, root.rstrip("/")


def _listed(info: Mapping[str, Any]) -> Listed:
    """From fsspec's description of an object; the stamp is its ETag, which changes with the content."""
    size = int(info.get("size") or 0)
    tag = str(info.get("ETag") or info.get("etag") or "").strip('"')
    return Listed(size, f"{size}-{tag}" if tag else None)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200]
