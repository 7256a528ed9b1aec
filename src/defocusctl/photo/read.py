"""Reads photos by their content, never by name, with one clear error for anything wrong."""

import re
import stat
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from defocusctl.errors import InputError
from defocusctl.photo import alpha, description, header, icc
from defocusctl.photo.formats import avif, bmp, heif, jpeg, jxl, png, pnm, raw, tiff, webp
from defocusctl.photo.geometry import Size
from defocusctl.photo.header import CAMERA_RAW, HEAD_BYTES, HEIC, JPEG_XL
from defocusctl.photo.model import Decoded, Photo, full_scale
from defocusctl.photo.reframing import upright
from defocusctl.photo.targets import read_as, written_format
from defocusctl.photo.white import white_of

DEFAULT_MAX_MEGAPIXELS = 300.0

UNSUPPORTED = re.compile(r"unsupported (?!marker)|not (yet )?(supported|implemented)", re.IGNORECASE)
"""Decoders' messages about unsupported files; libjpeg reports any damage as an unsupported marker."""

DECODERS: Mapping[str, Callable[[bytes, float], Decoded]] = {
    "JPEG": jpeg.decode,
    "PNG": png.decode,
    "TIFF": tiff.decode,
    "WEBP": webp.decode,
    "BMP": bmp.decode,
    "PPM": pnm.decode,
    "AVIF": avif.decode,
    HEIC: heif.decode,
    JPEG_XL: jxl.decode,
    CAMERA_RAW: raw.decode,
}


def read_photo(
    source: Path | bytes,
    *,
    named: Path | str = "standard input",
    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
    white: float | None = None,
) -> Photo:
    """Read a photo, upright, with everything that must survive until it is written again.

    The content determines the format; a name that suggests another causes a warning. Broken EXIF, XMP or ICC
    data are left out with a warning. ``named`` is the path or a name for bytes. ``white`` is the value of
    white in floating-point photos, by default 1.

    Raises:
        InputError: if there is no photo of a supported kind, its format needs a missing package, it is
            damaged, its white is clearly different, or it is above the limit (checked before any pixel is
            decoded).
        UsageError: if ``white`` is not above 0.
    """
    whence = source if isinstance(source, Path) else named
    path = whence if isinstance(whence, Path) else None
    with _naming(whence):
        data = source if isinstance(source, bytes) else _read_file(source)
        kind = header.identify(data[:HEAD_BYTES])
        if kind == "TIFF" and raw.is_raw(data):  # only its directories distinguish it
            kind = CAMERA_RAW
        _check_package(kind)
        photo = upright_photo(_decode(data, kind, max_megapixels), kind, white)
    if path is not None and path.suffix and kind != read_as(path.suffix):
        note = f"its name ends in {path.suffix} but it is {kind}"
        return replace(photo, warnings=(*photo.warnings, note))
    return photo


def read_content(path: Path) -> bytes:
    """The bytes of a photo, for ``read_photo``; a file that does not begin like one is not read further.

    Raises:
        InputError: if there is no such file, or it is not a photo of a supported kind.
    """
    with _naming(path):
        return _read_file(path)


def check_is_photo(path: Path) -> None:
    """Refuse files that ``read_photo`` would refuse by their first bytes; a pipe is not read.

    Raises:
        InputError: if there is no such file, or it is not a photo of a supported kind.
    """
    try:
        if not path.is_fifo():
            with _naming(path):
                _read_file(path, HEAD_BYTES)
    except OSError as error:
        raise InputError(f"cannot use '{path}' ({error.strerror})", "check its permissions") from error


@contextmanager
def _naming(source: Path | str) -> Iterator[None]:
    """Put the name of the file in front of the cause of an InputError."""
    try:
        yield
    except InputError as error:
        name = f"'{source}'" if isinstance(source, Path) else source
        raise InputError(f"cannot use {name}: {error.cause}", error.remedy) from error


def _check_package(kind: str) -> None:
    if lack := header.missing_package(kind):
        raise InputError(*lack)


def _read_file(path: Path, size: int = -1) -> bytes:
    """The first ``size`` bytes of a file, by default all; a pipe is always read to the end."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError("it is a folder", "give its photos, such as dir/*.jpg")
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise InputError("it is a device, not a file", header.READABLE)
        with path.open("rb") as handle:
            head = handle.read(HEAD_BYTES)
            _check_package(header.identify(head))
            if not handle.seekable():
                return head + handle.read()
            handle.seek(0)
            return handle.read(size)
    except FileNotFoundError as error:
        raise InputError("there is no such file", "check the name") from error
    except PermissionError as error:
        raise InputError("reading it is not permitted", "check its permissions") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"it cannot be read ({reason})", "check the name and the disk") from error


def _decode(data: bytes, kind: str, max_megapixels: float) -> Decoded:
    """Decode; any exception of a codec library becomes an InputError.

    The libraries do not document which exceptions hostile files can cause, hence the broad clause.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return DECODERS[kind](data, max_megapixels)
    except InputError:
        raise
    except MemoryError as error:
        raise InputError("it does not fit into memory", "use a machine with more memory") from error
    except Exception as error:
        if isinstance(error, NotImplementedError) or UNSUPPORTED.search(str(error)):
            cause = f"a {kind} file of this kind is not supported ({error})"[:200]
            remedy = "convert it to PNG or TIFF first, for example with ImageMagick"
            raise InputError(cause, remedy) from error
        telling = isinstance(error, (OSError, ValueError, RuntimeError, SyntaxError)) and str(error)
        raise header.damaged(
            f"{kind}: {error}"[:200] if telling else f"its {kind} structure is broken"
        ) from error


def upright_photo(decoded: Decoded, kind: str, white: float | None) -> Photo:
    """A photo from decoded data: metadata checked, pixels upright.

    Broken EXIF, XMP or ICC data are left out with a warning. ``white`` is that of ``read_photo``.

    Raises:
        UsageError: if ``white`` is not above 0.
        InputError: if it is None and the pixels are clearly not from 0 to 1.
    """
    white, doubts = white_of(decoded.pixels, white)
    found = description.checked(decoded.metadata)
    metadata, notes = found.metadata, [*decoded.warnings, *doubts]
    if metadata.icc is not None:
        profile, wrong = icc.fitting(metadata.icc, decoded.pixels.shape[2])
        notes += wrong
        metadata = replace(metadata, icc=profile)
    if decoded.alpha is not None and white is not None and decoded.alpha.max(initial=0) <= 1 < white / 2:
        notes.append(
            f"its alpha reaches at most 1, but opaque is {white:g}, as white: it is all but transparent"
        )
    orientation = decoded.orientation or found.exif_orientation or found.xmp_orientation or 1
    pixels = decoded.pixels
    if decoded.associated and decoded.alpha is not None:
        pixels, lost_light = alpha.unpremultiplied(pixels, decoded.alpha, white or full_scale(pixels.dtype))
        if lost_light:
            notes.append("some of its premultiplied colours exceed their alpha and are clipped to it")
    pixels = upright(pixels, orientation)
    # If the decoder has rotated the picture, EXIF says how, and its coordinates are from before that.
    applied = orientation if orientation != 1 else found.exif_orientation or 1
    metadata, lost = description.turned(metadata, Size(*pixels.shape[:2]), applied)
    return Photo(
        pixels,
        None if decoded.alpha is None else upright(decoded.alpha, orientation),
        written_format(kind),
        metadata,
        (*notes, *found.warnings, *lost),
        white,
    )
