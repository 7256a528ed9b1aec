"""The inputs of ``deblur`` and all files they would write, checked before anything runs."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from defocusctl.cli.deblur_options import DeblurCall
from defocusctl.cli.outputs import check_outputs
from defocusctl.errors import InputError, UsageError
from defocusctl.geometry import Box

if TYPE_CHECKING:
    from defocusctl.deblurrer.outputs import Outputs

STREAM = "-"


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
