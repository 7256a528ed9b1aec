"""One call of ``deblur``: its options, its inputs and all files it would write, checked before it runs."""

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from defocusctl.cli.options import ForceOption, PhotoOptions, check_above_zero
from defocusctl.errors import InputError, OutputError, UsageError
from defocusctl.system.atomic import make_folder, write_error
from defocusctl.system.paths import matches

if TYPE_CHECKING:
    from defocusctl.deblurrer.outputs import Outputs
    from defocusctl.photo.geometry import Box

STREAM = "-"


@dataclass(frozen=True, kw_only=True)
class DeblurCall(PhotoOptions):
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Photos; '-' reads stdin.")]
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|DIR",
            help="Where to write; DIR/ is made if missing, '-' is stdout. "
            "[default: photo_deblurred.jpg beside photo.jpg]",
            show_default=False,
        ),
    ] = None
    in_place: Annotated[
        bool,
        typer.Option(
            "--in-place", help="Replace the photo; the original is kept as photo.orig.jpg beside photo.jpg."
        ),
    ] = False
    force: ForceOption = False
    region: Annotated[
        str | None, typer.Option(metavar="WxH+X+Y", help="Deblur only this part, as a quick preview.")
    ] = None
    maps_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Draw the maps in this folder instead of beside the result."),
    ] = None
    maps_data: Annotated[Path | None, typer.Option(metavar="FILE.npz", help="Save the maps as arrays.")] = (
        None
    )
    compare_to: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw before and after into this file.")
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per input on stdout.")] = (
        False
    )

    def check(self) -> None:
        """Refuse options that are invalid for every input, before any is read.

        Raises:
            UsageError: if an option is invalid.
        """
        check_above_zero("--max-megapixels", self.max_megapixels)
        if self.in_place:
            for option, given in (("--output", self.output), ("--region", self.region)):
                if given is not None:
                    raise UsageError(f"{option} is not for --in-place", "leave one of them out")
            if STREAM in self.inputs:
                raise UsageError("--in-place needs a file, and '-' is standard input", "give a file")
        for option, name, ending in (
            ("--compare-to", self.compare_to, ".png"),
            ("--maps-data", self.maps_data, ".npz"),
        ):
            if name is not None and name.suffix.lower() != ending:
                cause = f"{option} writes {ending[1:].upper()}, and '{name}' does not end in {ending}"
                raise UsageError(cause, "give it another name")


@dataclass(frozen=True)
class Job:
    """One input (for stdin, its bytes) and its output files; a target of None is stdout."""

    text: str
    source: Path | bytes
    target: Path | None
    region: "Box | None"
    outputs: "Outputs"
    written: tuple[Path, ...]  # every file it will write


def expanded(inputs: Iterable[str]) -> Iterator[str]:
    """The inputs, with patterns that are not files themselves replaced by the files that match.

    On Windows, unlike elsewhere, the shell leaves this to the program.
    """
    for text in inputs:
        is_pattern = glob.has_magic(text) and not os.path.lexists(text)
        found = matches(text) if is_pattern else []
        yield from map(str, found) if found else [text]


def plan_job(text: str, call: DeblurCall, region: "Box | None") -> Job:
    """Choose the output paths, and refuse what cannot work before anything is computed.

    Raises:
        InputError: if there is no such file, or it is not a photo.
        OutputError: if an output must not or cannot be written.
    """
    try:
        return _job(text, call, region)
    except OSError as error:  # a name that is too long, a folder that must not be entered
        raise write_error(Path(error.filename or text), error) from error


def _job(text: str, call: DeblurCall, region: "Box | None") -> Job:
    from defocusctl.deblurrer.outputs import Outputs, check_targets, stem_of, target_path
    from defocusctl.photo import backup_path, check_is_photo

    source: Path | bytes
    if text == STREAM:
        source, named = _standard_input()
    else:
        source = named = Path(text)
        check_is_photo(source)
    if call.output is not None and call.output.endswith((os.sep, os.altsep or os.sep)):
        make_folder(Path(call.output))
    to_stream = call.output == STREAM or (call.output is None and text == STREAM)
    target: Path | None
    if call.in_place:
        target = named.resolve() if named.is_symlink() else named
    else:
        target = None if to_stream else target_path(named, call.output, region)
    backup = backup_path(target) if target is not None and call.in_place else None
    folder = Path() if target is None else target.parent
    stem = stem_of(target)
    outputs = Outputs(
        quality=call.quality,
        force=call.force,
        backup=backup,
        maps=call.maps_dir or (folder if call.maps else None),
        maps_data=call.maps_data,
        compare=call.compare_to or (folder / f"{stem}_compare.png" if call.compare else None),
    )
    check_targets(source, target, call.model, outputs)
    pictures = outputs.pictures(stem, call.model)
    written = (*(path for path in (target, backup) if path is not None), *pictures)
    return Job(text, source, target, region, outputs, written)


def check_conflicts(call: DeblurCall, jobs: Sequence[Job]) -> None:
    """Refuse calls whose jobs conflict with each other.

    Raises:
        OutputError: if a result would replace an input or the mask.
        UsageError: if two results would have the same path.
    """
    streams = sum(job.target is None for job in jobs)
    if streams > 1:
        raise UsageError("several photos cannot go to stdout", "give -o a folder")
    if streams and call.as_json:
        raise UsageError("--json and the photo would both go to stdout", "give -o a file")
    replaced = [job.text for job in jobs if job.outputs.backup is not None]
    read = [Path(text) for text in call.inputs if text not in (STREAM, *replaced)]
    masks = [] if call.mask is None else [call.mask]
    check_outputs([*read, *masks], [path for job in jobs for path in job.written])


def _standard_input() -> tuple[bytes, Path]:
    """A photo from standard input, which is read on only if it begins like one; and a name for it."""
    from defocusctl.photo.header import HEAD_BYTES, identify
    from defocusctl.photo.targets import SUFFIXES, written_format
    from defocusctl.system.devices import memory_errors

    head = sys.stdin.buffer.read(HEAD_BYTES)
    try:
        suffix = SUFFIXES[written_format(identify(head))][0]
    except InputError as error:
        raise InputError(f"cannot use standard input: {error.cause}", error.remedy) from error
    with memory_errors("standard input"):
        return head + sys.stdin.buffer.read(), Path(f"stdin{suffix}")


Identity: TypeAlias = tuple[int, int] | tuple[Path, str]
"""Device and inode of an existing file; folder and name of another."""


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
            cause = f"several results would be written to '{path}'"
            raise UsageError(cause, "give other names with -o, in separate calls")
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
