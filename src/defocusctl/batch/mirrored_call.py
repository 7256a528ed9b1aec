"""The inputs and the output folder of one call, whether they are paths or URLs of object stores."""

import glob
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from defocusctl.batch.mirror import Listed, Mirror
from defocusctl.batch.mirror_records import bring
from defocusctl.batch.places import Places
from defocusctl.errors import DefocusctlError, InputError, UsageError
from defocusctl.photo.targets import may_be_photo

FOLDERS = ("file", "local")
"""Protocols of fsspec for what is a path."""


class Call(NamedTuple):
    """Everything as paths of this machine, and what some of them stand for."""

    inputs: list[str]
    out: Path
    places: Places


@contextmanager
def mirrored_call(inputs: Sequence[str], out: str) -> Iterator[Call]:
    """Until the end of the block, a folder here for each URL, with an empty file for each object.

    Errors that leave the block name the URLs instead of these folders.

    Raises:
        UsageError: if there is no access to such a URL, or the results would lie among the inputs.
        InputError: if objects cannot be listed.
    """
    scratch = Path(tempfile.mkdtemp(prefix="defocusctl-batch-"))
    target = Mirror(scratch / "out", out.rstrip("/")) if is_url(out) else None
    mirrors = [] if target is None else [target]
    stamps: dict[Path, str | None] = {}
    try:
        paths = []
        for place, text in enumerate(inputs):
            if not is_url(text):
                paths.append(_as_path(text))
                continue
            fixed, pattern = _split(text)
            mirror = Mirror(scratch / f"in{place}", fixed)
            mirrors.append(mirror)
            stamps |= _lay_out_inputs(mirror, pattern, target)
            paths.append(str(mirror.local / pattern))
        if target is not None:
            target.local.mkdir()
            stamps |= _lay_out(target, target.objects())
            bring(target)
        places = Places(tuple(mirrors), stamps)
        yield Call(paths, Path(_as_path(out)) if target is None else target.local, places)
    except DefocusctlError as error:
        in_words = Places(tuple(mirrors)).in_words
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
    if fixed == len(parts) and may_be_photo(Path(parts[-1])):
        fixed -= 1
    return f"{protocol}://{'/'.join(parts[:fixed])}", "/".join(parts[fixed:])


def _lay_out_inputs(mirror: Mirror, pattern: str, target: Mirror | None) -> dict[Path, str | None]:
    """Stand-ins for the photos, without the results where these lie below them; return their stamps."""
    if target is not None and target.contains(mirror):
        raise UsageError(
            f"the results in '{target.url}' could replace inputs", "choose another folder for the results"
        )
    mirror.local.mkdir()
    objects = mirror.objects()
    if not objects:
        raise InputError(f"there is nothing below '{mirror.url}'", "check the address")
    inner = None if target is None or not mirror.contains(target) else target.url.removeprefix(mirror.url)
    results = None if inner is None else mirror.local / inner.strip("/")
    photos = {
        path: listed
        for path, listed in objects.items()
        if (path == mirror.local / pattern or may_be_photo(path))
        and (results is None or not path.is_relative_to(results))
    }
    return _lay_out(mirror, photos)


def _lay_out(mirror: Mirror, objects: Mapping[Path, Listed]) -> dict[Path, str | None]:
    mirror.lay_out((path, listed.size) for path, listed in objects.items())
    return {path: listed.stamp for path, listed in objects.items()}
