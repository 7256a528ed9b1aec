"""What the arguments of ``batch`` come to: its photos, where pictures are drawn, and who computes."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from defocusctl.errors import InputError, UsageError

if TYPE_CHECKING:
    from defocusctl.batch.executor import Executor
    from defocusctl.batch.inputs import Findings, Search
    from defocusctl.batch.places import Places

STREAM = "-"


class Format(StrEnum):
    """The formats of results by the suffix of their names; the tests hold them against ``photo.targets``."""

    JPG = "jpg"
    JPEG = "jpeg"
    JPE = "jpe"
    JFIF = "jfif"
    PNG = "png"
    TIF = "tif"
    TIFF = "tiff"
    WEBP = "webp"
    BMP = "bmp"
    DIB = "dib"
    PPM = "ppm"
    PGM = "pgm"
    PNM = "pnm"
    AVIF = "avif"
    HEIC = "heic"
    HEIF = "heif"
    HIF = "hif"
    JXL = "jxl"


class EngineName(StrEnum):
    """Who does the work."""

    LOCAL = "local"
    RAY = "ray"


def find(inputs: Sequence[str], listed: str | None, search: "Search", *, may_be_none: bool) -> "Findings":
    """The photos of the inputs, and of the list if there is one.

    Raises:
        InputError: if there are none, or the list cannot be read.
        UsageError: if the list names something in a store.
    """
    findings = search.find(inputs, () if listed is None else _lines(listed))
    if not (may_be_none or findings.photos or findings.unreadable):
        raise InputError(
            "there is no photo among the inputs", "check the folders, and --include and --exclude if given"
        )
    return findings


def _lines(listed: str) -> Iterator[str]:
    from defocusctl.batch.inputs import listed_in

    for line in listed_in(_content(listed)):
        if "://" in line:
            raise UsageError(f"a list names files only, not '{line}'", "give it as IN")
        yield line


def _content(listed: str) -> bytes:
    if listed == STREAM:
        return sys.stdin.buffer.read()
    try:
        return Path(listed).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the list '{listed}' ({error.strerror})", "check the path") from error


def check_format(chosen: Format) -> None:
    """Refuse a format that cannot be written here, before anything is read.

    Raises:
        UsageError: if it needs a package that is not installed.
    """
    from defocusctl.photo.extras import missing_package
    from defocusctl.photo.targets import format_of_suffix

    lack = missing_package(format_of_suffix(f".{chosen.value}") or "")
    if lack is not None:
        raise UsageError(f"--format {chosen.value}: {lack[0]}", lack[1])


@contextmanager
def executor_for(
    engine: EngineName, address: str | None, device: str, jobs: int | None, places: "Places"
) -> "Iterator[Executor]":
    """Who does the photos, until the end of the block.

    Raises:
        UsageError: if Ray is not installed, or an address is given for no use.
        DeviceError: if there is no such cluster, or it has no such device.
    """
    if engine is EngineName.RAY:
        from defocusctl.batch.ray_executor import ray_executor

        with ray_executor(address, device, jobs, places) as executor:
            yield executor
    elif address is not None:
        raise UsageError("--ray-address is for --engine ray", "give both or none")
    else:
        from defocusctl.batch.executor import LocalExecutor

        yield LocalExecutor(jobs)


def picture_tree(name: str, wanted: bool, dir_name: str, folder: str | None, out: Path) -> Path | None:
    """The folder whose tree the pictures of option ``name`` are drawn in: ``out``, unless another is given.

    Raises:
        UsageError: if that is in a store.
    """
    if folder is not None and "://" in folder:
        raise UsageError(f"{dir_name} draws in no store", f"give {name} instead: pictures beside the results")
    return Path(folder) if folder is not None else out if wanted else None
