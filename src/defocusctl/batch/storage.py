"""Where a batch's inputs and results are: in local folders or in object stores."""

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from defocusctl.batch.manifest import recorded_stamp
from defocusctl.batch.store_records import fetch_records
from defocusctl.batch.stores import Listed, Store
from defocusctl.errors import DefocusctlError, InputError, UsageError
from defocusctl.photo.header import HEAD_BYTES
from defocusctl.photo.targets import may_be_photo, right_suffix, suffix_by_content
from defocusctl.weights.checksums import Checksum

FOLDERS = ("file", "local")
"""fsspec's protocols for local paths."""


class Storage(NamedTuple):
    """The files of a batch: local, except for those in ``stores``.

    ``stamps`` are those of the stores' objects when they were listed.
    """

    stores: tuple[Store, ...] = ()
    stamps: Mapping[str, str | None] = {}

    def store_of(self, path: str | Path) -> Store | None:
        for store in self.stores:
            if store.holds(path):
                return store
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
        if self.store_of(path) is not None:
            return self.stamps.get(str(path))
        return known or recorded_stamp(path)

    def right_suffix(self, path: Path) -> str:
        """Like ``photo.targets.right_suffix``; for an object, its first bytes are fetched."""
        store = self.store_of(path)
        if store is None:
            return right_suffix(path)
        with suppress(InputError):
            head = store.read(path, HEAD_BYTES)
            return path.suffix if head is None else suffix_by_content(path.suffix, head)
        return path.suffix

    @contextmanager
    def fetched(self, path: Path) -> Iterator[None]:
        """Make a file's content available locally during this block.

        Raises:
            InputError: if the store cannot be read.
        """
        store = self.store_of(path)
        if store is None:
            yield
        else:
            with store.fetched(path):
                yield

    def with_urls(self, text: str) -> str:
        """``text`` with the stores' URLs instead of their local folders."""
        for store in self.stores:
            text = text.replace(str(store.local), store.url)
        return text


LOCAL = Storage()


class Locations(NamedTuple):
    """Inputs and output folder as local paths, and the storage behind them."""

    inputs: list[str]
    out: Path
    storage: Storage


@contextmanager
def opened_stores(inputs: Sequence[str], out: str) -> Iterator[Locations]:
    """During this block, represent each URL by a local folder with an empty file for each object.

    Errors that leave the block name the URLs instead of these folders.

    Raises:
        UsageError: if a URL cannot be opened, or the results would be among the inputs.
        InputError: if objects cannot be listed.
    """
    scratch = Path(tempfile.mkdtemp(prefix="defocusctl-batch-"))
    target = Store(scratch / "out", out.rstrip("/")) if is_url(out) else None
    stores = [] if target is None else [target]
    stamps: dict[str, str | None] = {}
    try:
        paths = []
        for number, text in enumerate(inputs):
            if not is_url(text):
                paths.append(_as_path(text))
                continue
            folder, pattern = _split(text)
            store = Store(scratch / f"in{number}", folder)
            stores.append(store)
            stamps |= store.create_placeholders(_photos(store, pattern, target))
            paths.append(str(store.local / pattern))
        if target is not None:
            stamps |= target.create_placeholders(target.objects())
            fetch_records(target)
        yield Locations(
            paths,
            Path(_as_path(out)) if target is None else target.local,
            Storage(tuple(stores), stamps),
        )
    except DefocusctlError as error:
        with_urls = Storage(tuple(stores)).with_urls
        error.cause, error.remedy = with_urls(error.cause), with_urls(error.remedy)
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def is_url(text: str) -> bool:
    """Whether ``text`` names an object or a folder in a store."""
    protocol, separator, _ = text.partition("://")
    return bool(separator) and protocol not in FOLDERS


def _as_path(text: str) -> str:
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


def _photos(store: Store, pattern: str, target: Store | None) -> dict[str, Listed]:
    """The objects that may be photos, excluding the results."""
    if target is not None and target.contains(store):
        raise UsageError(
            f"the results in '{target.url}' could replace inputs", "choose another folder for the results"
        )
    objects = store.objects()
    if not objects:
        raise InputError(f"there is nothing in '{store.url}'", "check the address")
    inner = target.url.removeprefix(store.url) if target is not None and store.contains(target) else None
    results = None if inner is None else f"{store.local / inner.strip('/')}{os.sep}"
    named = str(store.local / pattern)
    return {
        path: listed
        for path, listed in objects.items()
        if (path == named or may_be_photo(path)) and (results is None or not path.startswith(results))
    }
