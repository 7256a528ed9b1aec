"""Where the files of one call are: inputs and results in folders of this machine or in object stores."""

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
"""Protocols of fsspec for what is a path."""


class Storage(NamedTuple):
    """Where the files of a batch really are: on this machine, but for what ``stores`` stand for.

    ``stamps`` are those of the objects in stores when these were listed.
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
        """What says without reading a file that it has not changed: of an object, what the listing said.

        Of a file of this machine ``known``, or else what the system says now; None if nothing does.
        """
        if self.store_of(path) is not None:
            return self.stamps.get(str(path))
        return known or recorded_stamp(path)

    def right_suffix(self, path: Path) -> str:
        """As ``photo.targets.right_suffix``; of an object, its first bytes are read."""
        store = self.store_of(path)
        if store is None:
            return right_suffix(path)
        with suppress(InputError):
            head = store.read(path, HEAD_BYTES)
            return path.suffix if head is None else suffix_by_content(path.suffix, head)
        return path.suffix

    @contextmanager
    def fetched(self, path: Path) -> Iterator[None]:
        """During this block the content of a file lies here, wherever it is.

        Raises:
            InputError: if the store does not give it.
        """
        store = self.store_of(path)
        if store is None:
            yield
        else:
            with store.fetched(path):
                yield

    def in_words(self, text: str) -> str:
        """``text`` with the addresses that the user knows, instead of what stands for them."""
        for store in self.stores:
            text = text.replace(str(store.local), store.url)
        return text


LOCAL = Storage()


class Call(NamedTuple):
    """The inputs and the output folder of one call as paths of this machine, and what some stand for."""

    inputs: list[str]
    out: Path
    storage: Storage


@contextmanager
def opened_stores(inputs: Sequence[str], out: str) -> Iterator[Call]:
    """Until the end of the block, a folder here for each URL, with an empty file for each object.

    Errors that leave the block name the URLs instead of these folders.

    Raises:
        UsageError: if there is no access to such a URL, or the results would lie among the inputs.
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
            stamps |= store.lay_out(_photos(store, pattern, target))
            paths.append(str(store.local / pattern))
        if target is not None:
            stamps |= target.lay_out(target.objects())
            fetch_records(target)
        yield Call(
            paths,
            Path(_as_path(out)) if target is None else target.local,
            Storage(tuple(stores), stamps),
        )
    except DefocusctlError as error:
        in_words = Storage(tuple(stores)).in_words
        error.cause, error.remedy = in_words(error.cause), in_words(error.remedy)
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def is_url(text: str) -> bool:
    """Whether it names an object or a folder of a store."""
    protocol, separator, _ = text.partition("://")
    return bool(separator) and protocol not in FOLDERS


def _as_path(text: str) -> str:
    protocol, separator, rest = text.partition("://")
    return rest if separator and protocol in FOLDERS else text


def _split(url: str) -> tuple[str, str]:
    """A folder, and below it a pattern or a photo; or all of it, and nothing."""
    protocol, _, rest = url.partition("://")
    parts = rest.rstrip("/").split("/")
    fixed = next((place for place, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    if fixed == len(parts) and may_be_photo(parts[-1]):
        fixed -= 1
    return f"{protocol}://{'/'.join(parts[:fixed])}", "/".join(parts[fixed:])


def _photos(store: Store, pattern: str, target: Store | None) -> dict[str, Listed]:
    """The objects that may be photos, without the results where these lie below them."""
    if target is not None and target.contains(store):
        raise UsageError(
            f"the results in '{target.url}' could replace inputs", "choose another folder for the results"
        )
    objects = store.objects()
    if not objects:
        raise InputError(f"there is nothing below '{store.url}'", "check the address")
    inner = target.url.removeprefix(store.url) if target is not None and store.contains(target) else None
    results = None if inner is None else f"{store.local / inner.strip('/')}{os.sep}"
    named = str(store.local / pattern)
    return {
        path: listed
        for path, listed in objects.items()
        if (path == named or may_be_photo(path)) and (results is None or not path.startswith(results))
    }
