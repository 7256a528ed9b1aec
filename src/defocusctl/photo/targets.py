"""File names: formats by suffix, files to ignore, names of outputs, and checks before any computation."""

import os
import re
from pathlib import Path

from defocusctl.errors import InputError, OutputError
from defocusctl.photo.header import CAMERA_RAW, HEAD_BYTES, HEIC, JPEG_XL, identify, missing_package
from defocusctl.system.atomic import is_taken

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "PPM": (".ppm", ".pgm", ".pnm", ".pbm"),
    "AVIF": (".avif",),
    HEIC: (".heic", ".heif", ".hif"),
    JPEG_XL: (".jxl",),
    CAMERA_RAW: (
        *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2"),
        *(".pef", ".srw", ".rwl", ".iiq", ".3fr", ".fff", ".mos"),
        *(".mrw", ".erf", ".kdc", ".dcr", ".mef", ".x3f"),
    ),
}
_KINDS = {suffix: kind for kind, suffixes in SUFFIXES.items() for suffix in suffixes}
NEVER_WRITTEN = {CAMERA_RAW: "TIFF"}  # and what to write instead
ONLY_READ = {".mpo": "JPEG", ".jps": "JPEG", ".jif": "JPEG", ".jfi": "JPEG", ".pns": "PNG", ".apng": "PNG"}
"""Suffixes that are never written: stereo pictures and others of which only the first picture is restored."""
_READ = _KINDS | ONLY_READ
BITMAP = ".pbm"
GREYMAP = ".pgm"
_SYSTEM = re.compile(
    r"""
    @eadir | @tmp | @syno\w* | @sharebin | \#recycle | \#snapshot | \#backup  # Synology
    | @recycle | @recently-snapshot | @__thumb                       # QNAP
    | \$.* | recycler | recycled | system\ volume\ information       # Windows: $RECYCLE.BIN, $WINDOWS.~BT
    | found\.\d{3} | dfsrprivate
    | __macosx | network\ trash\ folder | temporary\ items | thevolumesettingsfolder  # macOS
    | lost\+found | ~snapshot                                        # Linux, NetApp
    """,
    re.VERBOSE,
)


def format_of_suffix(suffix: str) -> str | None:
    """The format of a file name's suffix, or None."""
    return _KINDS.get(suffix.lower())


def read_as(suffix: str) -> str | None:
    """Like ``format_of_suffix``, also for suffixes that are never written."""
    return _READ.get(suffix.lower())


def may_be_photo(path: str | Path) -> bool:
    """Whether a file has the suffix of a supported photo format."""
    suffix = os.path.splitext(path)[1]  # noqa: PTH122 - quicker than a Path, for many thousands
    return read_as(suffix) is not None


def is_passed_over(name: str) -> bool:
    """Whether this is the name of a hidden or system file or folder, such as thumbnails or snapshots."""
    return name.startswith(".") or _SYSTEM.fullmatch(name.casefold()) is not None


def written_format(kind: str) -> str:
    """The default output format for a photo of this format."""
    return NEVER_WRITTEN.get(kind, kind)


def format_to_write(target: Path) -> str | None:
    """The format that an output's name requests, or None if it cannot be written."""
    kind = format_of_suffix(target.suffix)
    return None if kind in NEVER_WRITTEN or target.suffix.lower() == BITMAP else kind


def output_path(source: Path, output: Path | str | None) -> Path:
    """The file to write: ``photo_deblurred.jpg`` beside ``photo.jpg``, or as ``-o`` says.

    ``output`` is a file, or a folder if it exists as one or is a string that ends in a slash. If the source's
    suffix is missing or wrong, the output gets the right one.
    """
    name = f"{source.stem}_deblurred{right_suffix(source)}"
    if output is None:
        return source.with_name(name)
    if Path(output).is_dir() or (isinstance(output, str) and output.endswith((os.sep, os.altsep or os.sep))):
        return Path(output) / name
    return Path(output)


def check_writable_target(source: Path, target: Path, *, force: bool) -> None:
    """Refuse a target that cannot or must not be written, before any computation.

    Raises:
        OutputError: if the suffix names no format, one that is never written or one whose package is missing;
            if the folder is missing or read-only, the target exists and ``force`` is not given, or it is the
            input itself, even under another name.
    """
    kind = format_to_write(target)
    if format_of_suffix(target.suffix) in NEVER_WRITTEN:
        raise OutputError(f"'{target}' would be a camera RAW, which is never written", "end its name in .tif")
    if kind is None:
        raise OutputError(
            f"the name '{target}' does not say which format to write",
            "end it in .jpg, .png, .tif, .webp, .bmp, .ppm, .pgm, .avif, .heic or .jxl, or in / for a folder",
        )
    if lack := missing_package(kind):
        raise OutputError(f"cannot write '{target}': {lack[0]}", lack[1])
    try:
        _check_place(source, target, force=force)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write '{target}' ({reason})", "write elsewhere with -o") from error


def _check_place(source: Path, target: Path, *, force: bool) -> None:
    folder = target.parent
    if not folder.is_dir():
        raise OutputError(f"there is no folder '{folder}'", "create it first, or write elsewhere with -o")
    if is_taken(target):
        if source.exists() and target.exists() and target.samefile(source):
            raise OutputError(f"'{target}' is the input itself", "give another name with -o")
        if target.exists() and not target.is_file():
            raise OutputError(f"'{target}' is not an ordinary file", "give another name with -o")
        if not force:
            cause = f"'{target}' exists already"
            raise OutputError(cause, "use --force to overwrite it, or -o for another name")
    if not os.access(folder, os.W_OK | os.X_OK):
        cause = f"the folder '{folder}' is read-only"
        raise OutputError(cause, "change its permissions, or use another folder")


def backup_path(photo: Path) -> Path:
    """Where a photo is kept that its result replaces: ``photo.orig.tif`` for ``photo.tif``."""
    return photo.with_stem(f"{photo.stem}.orig")


def check_replaceable(photo: Path, backup: Path) -> None:
    """Refuse to replace a photo by its result if it cannot be, or not kept as ``backup``, before computing.

    Raises:
        OutputError: if there is a backup, the format is not written or is not what the photo's name says, or
            it is a camera RAW, or the photo or its folder is read-only.
        OSError: if the backup's name is too long.
    """
    from defocusctl.photo.formats.raw import is_raw

    if is_taken(backup):
        cause = f"'{backup}' exists already, and '{photo}' would be kept under this name"
        raise OutputError(cause, "move it elsewhere")
    if (suffix := right_suffix(photo)) != photo.suffix:
        raise OutputError(f"'{photo}' would become a {suffix} file under that name", "leave out --in-place")
    if suffix.lower() in SUFFIXES["TIFF"] and is_raw(photo.read_bytes()):
        raise OutputError(f"'{photo}' is a camera RAW, which is never written", "leave out --in-place")
    if not os.access(photo, os.W_OK):
        raise OutputError(f"'{photo}' is read-only", "change its permissions, or leave out --in-place")
    check_writable_target(backup, photo, force=True)


def right_suffix(source: Path) -> str:
    """The source's suffix if it is right, else that of its format; a pipe is not read."""
    try:
        if not source.is_file():
            return source.suffix
        with source.open("rb") as handle:
            head = handle.read(HEAD_BYTES)
    except (OSError, ValueError):
        return source.suffix
    return suffix_by_content(source.suffix, head)


def suffix_by_content(suffix: str, head: bytes) -> str:
    """``suffix`` if it is right for a file that begins with ``head``, else that of its format."""
    try:
        kind = identify(head)
    except InputError:
        return suffix
    written = written_format(kind)
    if suffix.lower() == BITMAP and written == "PPM":
        return SUFFIXES["PPM"][0] if head.startswith((b"P3", b"P6")) else GREYMAP
    return suffix if format_of_suffix(suffix) == written else SUFFIXES[written][0]
