"""The files of a batch: in local folders or, below private folders that stand for them, in object stores.

A path in such a private folder stands for the object of the same name. For planning, the folder holds empty
files with the objects' names and sizes, so that searching works as on a disk. A photo is fetched when it is
its turn, and a result is put into the store when it is complete.
"""

import glob
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from defocusctl.batch.manifest import recorded_stamp
from defocusctl.batch.stores import Info, fetch_records, object_stamp, objects_in, open_store, store_errors
from defocusctl.errors import DefocusctlError, InputError, UsageError
from defocusctl.photo.header import HEAD_BYTES
from defocusctl.photo.targets import may_be_photo, right_suffix, suffix_by_content
from defocusctl.weights.checksums import Checksum

FOLDERS = ("file", "local")  # fsspec's protocols for local paths


class Storage(NamedTuple):
    """The files of a batch: local, except below the private folders in ``urls``. Can be pickled.

    ``urls`` has the URL that each of these folders stands for, ``stamps`` those of the objects by path, from
    when they were listed.
    """

    urls: Mapping[str, str] = {}
    stamps: Mapping[str, str | None] = {}

    def url_of(self, path: str | Path) -> str | None:
        """The URL that a path stands for; None for a local file."""
        for folder, url in self.urls.items():
            if f"{path}{os.sep}".startswith(f"{folder}{os.sep}"):
                return url + str(path)[len(folder) :].replace(os.sep, "/")
        return None

    def sha256(self, path: Path) -> str | None:
        """The hash of a file's content; None if it cannot be read."""
        with suppress(DefocusctlError, OSError), self.fetched(path):
            return Checksum.of_file(path, "sha256").hex
        return None

    def stamp(self, path: str | Path, known: str | None = None) -> str | None:
        """The stamp that shows without reading a file whether it changed; None if there is none.

        For an object, the one from the listing; for a local file, ``known`` or else its current stamp.
        """
        if self.url_of(path) is not None:
            return self.stamps.get(str(path))
        return known or recorded_stamp(path)

    def right_suffix(self, path: Path) -> str:
        """Like ``photo.targets.right_suffix``; for an object, its first bytes are fetched."""
        url = self.url_of(path)
        if url is None:
            return right_suffix(path)
        with suppress(InputError, FileNotFoundError), store_errors("read", url):
            store, name = self._located(path)
            return suffix_by_content(path.suffix, store.cat_file(name, start=0, end=HEAD_BYTES))
        return path.suffix

    @contextmanager
    def fetched(self, path: Path) -> Iterator[None]:
        """During this block, the file ``path`` has the object's content; it is missing if the object is.

        Raises:
            InputError: if the store cannot be read.
        """
        url = self.url_of(path)
        if url is None:
            yield
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        try:
            with suppress(FileNotFoundError), store_errors("fetch", url):
                store, name = self._located(path)
                store.get_file(name, str(path))
            yield
        finally:
            path.unlink(missing_ok=True)

    def put(self, path: Path) -> str | None:
        """Upload the file, replacing the object that its path stands for; return the object's stamp.

        Raises:
            OutputError: if the store cannot be written.
        """
        with store_errors("write", self.with_urls(str(path))):
            store, name = self._located(path)
            store.put_file(str(path), name)
        with suppress(Exception):  # not every store permits it
            return object_stamp(store.info(name))
        return None

    def with_urls(self, text: str) -> str:
        """``text`` with the stores' URLs instead of their local folders."""
        for folder, url in self.urls.items():
            text = text.replace(folder, url)
        return text

    def _located(self, path: Path) -> tuple[Any, str]:
        """The store of an object, and its name there."""
        folder = next(folder for folder in self.urls if path.is_relative_to(folder))
        return open_store(self.urls[folder]), path.relative_to(folder).as_posix()


LOCAL = Storage()


@contextmanager
def opened_stores(inputs: Sequence[str], out: str) -> Iterator[tuple[list[str], Path, Storage]]:
    """During this block, represent each URL by a private folder with an empty file for each object.

    Yields the inputs and the output folder as local paths, and the storage behind them. Errors that leave the
    block name the URLs instead of these folders.

    Raises:
        UsageError: if a URL cannot be opened, or the results would be among the inputs.
        InputError: if objects cannot be listed.
    """
    target = out.rstrip("/") if is_url(out) else None
    paths, local_out = list(map(without_scheme, inputs)), Path(without_scheme(out))
    if target is None and not any(map(is_url, inputs)):
        yield paths, local_out, LOCAL
        return
    urls: dict[str, str] = {}
    stamps: dict[str, str | None] = {}
    storage = Storage(urls, stamps)
    with tempfile.TemporaryDirectory(prefix="defocusctl-batch-", ignore_cleanup_errors=True) as scratch:
        try:
            for number, text in enumerate(inputs):
                if is_url(text):
                    url, pattern = _split(text)
                    folder = Path(scratch, f"in{number}")
                    urls[str(folder)] = url
                    stamps |= _create_placeholders(folder, url, _photos(url, pattern, target))
                    paths[number] = str(folder / pattern)
            if target is not None:
                local_out = Path(scratch, "out")
                urls[str(local_out)] = target
                stamps |= _create_placeholders(local_out, target, objects_in(target))
                fetch_records(target, local_out)
            yield paths, local_out, storage
        except DefocusctlError as error:
            error.cause, error.remedy = storage.with_urls(error.cause), storage.with_urls(error.remedy)
            raise


def is_url(text: str) -> bool:
    """Whether ``text`` names an object or a folder in a store."""
    protocol, separator, _ = text.partition("://")
    return bool(separator) and protocol not in FOLDERS


def without_scheme(text: str) -> str:
    """The path of a local ``file://`` URL; other text as it is."""
    protocol, separator, rest = text.partition("://")
    return rest if separator and protocol in FOLDERS else text


def _split(url: str) -> tuple[str, str]:
    """Split a URL into a folder and, if any, the pattern or photo below it."""
    protocol, _, rest = url.partition("://")
    parts = rest.rstrip("/").split("/")
    fixed = next((index for index, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    if fixed == len(parts) and may_be_photo(parts[-1]):
        fixed -= 1
    return f"{protocol}://{'/'.join(parts[:fixed])}", "/".join(parts[fixed:])


def _photos(url: str, pattern: str, target: str | None) -> dict[str, Info]:
    """The objects in a folder that may be photos by name, excluding the results."""
    inner = None if target is None else _name_below(url, target)
    if target is not None and _name_below(target, url) is not None:
        cause = f"the results in '{target}' could replace inputs"
        raise UsageError(cause, "choose another folder for the results")
    objects = objects_in(url)
    if not objects:
        raise InputError(f"there is nothing in '{url}'", "check the address")
    return {
        name: info
        for name, info in objects.items()
        if (name == pattern or may_be_photo(name)) and (inner is None or not name.startswith(f"{inner}/"))
    }


def _name_below(folder: str, url: str) -> str | None:
    """The name of ``url`` below the folder of a store, empty if it is that folder; else None."""
    outer, store = open_store(folder), open_store(url)
    if type(outer.fs) is not type(store.fs) or not f"{store.path}/".startswith(f"{outer.path}/"):
        return None
    return str(store.path)[len(outer.path) :].lstrip("/")


def _create_placeholders(folder: Path, url: str, objects: Mapping[str, Info]) -> dict[str, str | None]:
    """Create an empty file for each of a folder's objects; return the objects' stamps by path."""
    folder.mkdir()
    stamps = {}
    folders: set[Path] = set()
    for name, info in objects.items():
        path = f"{folder}{os.sep}{name.replace('/', os.sep)}"
        try:
            if (parent := Path(path).parent) not in folders:
                parent.mkdir(parents=True, exist_ok=True)
                folders.add(parent)
            with open(path, "xb") as file:  # noqa: PTH123 - quicker than a Path, for many thousands
                file.truncate(int(info.get("size") or 0))
        except OSError as error:
            cause = f"'{url}/{name}' cannot be the name of a file ({error.strerror})"
            raise InputError(cause, "rename the object") from error
        stamps[path] = object_stamp(info)
    return stamps
