"""The inputs of ``deblur`` and all files they would write, checked before anything runs."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from defocusctl.cli.deblur_options import DeblurCall
from defocusctl.errors import InputError, OutputError, UsageError
from defocusctl.geometry import Box

if TYPE_CHECKING:
    from defocusctl.deblurrer.outputs import Outputs

STREAM = "-"
Identity: TypeAlias = tuple[int, int] | tuple[Path, str]
"""Device and inode of an existing file; folder and name of another."""


@dataclass(frozen=True)
class Job:
    """One input (for stdin, its bytes) and its output files; a target of None is stdout."""

    text: str
    source: Path | bytes
    target: Path | None
    region: Box | None
    outputs: "Outputs"
    written: tuple[Path, ...]
    """Every file it will write."""


def plan_job(text: str, call: DeblurCall, region: Box | None) -> Job:
    """Choose the output paths, and refuse what cannot work before anything is computed.

    Raises:
        InputError: if there is no such file, or it is not a photo.
        OutputError: if an output must not or cannot be written.
    """
    from defocusctl.deblurrer.outputs import Outputs, check_targets, stem_of, target_path
    from defocusctl.photo import check_is_photo

    source: Path | bytes
    if text == STREAM:
        source = _read_standard_input()
        named = Path(f"stdin{_suffix_of(source)}")
    else:
        source = named = Path(text)
        check_is_photo(source)
    to_stream = call.output == STREAM or (call.output is None and text == STREAM)
    target = None if to_stream else target_path(named, call.output, region)
    folder = Path() if target is None else target.parent
    stem = stem_of(target)
    outputs = Outputs(
        quality=call.quality,
        force=call.force,
        maps=call.maps_dir or (folder if call.maps else None),
        maps_data=call.maps_data,
        compare=call.compare_to or (folder / f"{stem}_compare.png" if call.compare else None),
    )
    check_targets(source, target, call.model, outputs)
    pictures = outputs.pictures(stem, call.model)
    written = pictures if target is None else (target, *pictures)
    return Job(text, source, target, region, outputs, written)


def check_conflicts(inputs: Sequence[str], jobs: Sequence[Job], *, as_json: bool) -> None:
    """Refuse calls whose jobs conflict with each other.

    Raises:
        OutputError: if a result would replace an input.
        UsageError: if two results would have the same path.
    """
    streams = sum(job.target is None for job in jobs)
    if streams > 1:
        raise UsageError("several photos cannot go to stdout", "give -o a folder")
    if streams and as_json:
        raise UsageError("--json and the photo would both go to stdout", "give -o a file")
    check_outputs(
        [Path(text) for text in inputs if text != STREAM], [path for job in jobs for path in job.written]
    )


def check_outputs(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Before anything runs, refuse a call in which a result would replace an input or another result.

    Raises:
        OutputError: if an output is an input, under whatever name.
        UsageError: if two outputs are one file.
    """
    read = {_identity(path) for path in inputs}
    written: set[Identity] = set()
    for path in outputs:
        identity = _identity(path)
        if identity in read:
            raise OutputError(f"the result '{path}' would replace an input", "write elsewhere with -o")
        if identity in written:
            raise UsageError(
                f"several results would be written to '{path}'",
                "use other names or folders, or separate calls",
            )
        written.add(identity)


def _identity(path: Path) -> Identity:
    try:
        status = path.stat()
    except OSError:
        folder = path.parent.resolve()
        return folder, path.name.casefold() if _ignores_case(folder) else path.name
    return status.st_dev, status.st_ino


def _ignores_case(folder: Path) -> bool:
    """Whether the file system ignores case, as is usual on Windows and macOS."""
    other = folder.with_name(folder.name.swapcase())
    return other.name != folder.name and other.exists() and other.samefile(folder)


def _read_standard_input() -> bytes:
    from defocusctl.system.devices import memory_errors

    with memory_errors("standard input"):
        return sys.stdin.buffer.read()


def _suffix_of(content: bytes) -> str:
    """The suffix for a result in the format of this content."""
    from defocusctl.photo.header import HEAD_BYTES, identify
    from defocusctl.photo.targets import SUFFIXES, written_format

    try:
        return SUFFIXES[written_format(identify(content[:HEAD_BYTES]))][0]
    except InputError as error:
        raise InputError(f"cannot use standard input: {error.cause}", error.remedy) from error
