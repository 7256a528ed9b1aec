"""Photos from files: by content, never by name; one clear error for whatever is wrong with them."""

import re
import stat
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from defocusctl.errors import InputError
from defocusctl.geometry import Size
from defocusctl.photo import alpha, description, icc
from defocusctl.photo.extras import CAMERA_RAW, HEIC, JPEG_XL, missing_package
from defocusctl.photo.formats import avif, bmp, heif, jpeg, jxl, png, pnm, raw, raw_metadata, tiff, webp
from defocusctl.photo.header import HEAD_BYTES, READABLE, damaged, identify
from defocusctl.photo.model import Decoded, Photo, full_scale
from defocusctl.photo.orientation import upright
from defocusctl.photo.targets import format_of_suffix, written_format
from defocusctl.photo.white import white_of

DEFAULT_MAX_MEGAPIXELS = 300.0

UNSUPPORTED = re.compile(r"unsupported (?!marker)|not (yet )?(supported|implemented)", re.IGNORECASE)
"""What decoders say of valid files that are beyond them; libjpeg calls any damage an unsupported marker."""

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
    """Read a photo, upright, with everything that has to survive until it is written again.

    The format is what the content says; a name that claims another is worth a warning. Broken EXIF, XMP
    or ICC data are left out with a warning. ``named`` is the file that bytes are from, or what to call
    them. ``white`` is the value of white in floating-point photos, by default 1.

    Raises:
        InputError: if there is no photo of a supported kind, its format needs a package that is missing, it
            is damaged, its white is plainly another, or it is above the limit (which is checked before any
            pixel is decoded).
        UsageError: if ``white`` is not above 0.
    """
    whence = source if isinstance(source, Path) else named
    path = whence if isinstance(whence, Path) else None
    name = f"'{path}'" if path else str(whence)
    try:
        data = source if isinstance(source, bytes) else _read_file(source)
        kind = _kind_of(data)
        photo = upright_photo(_decode(data, kind, max_megapixels), kind, white)
    except InputError as error:
        raise InputError(f"cannot use {name}: {error.cause}", error.remedy) from error
    if path is not None and path.suffix and format_of_suffix(path.suffix) != kind:
        note = f"its name ends in {path.suffix} but it is {kind}"
        return replace(photo, warnings=(*photo.warnings, note))
    return photo


def read_content(path: Path) -> bytes:
    """The bytes of a photo, for ``read_photo``; a file that begins unlike one is not read to its end.

    Raises:
        InputError: if there is no such file, or it is not a photo of a supported kind.
    """
    try:
        return _read_file(path)
    except InputError as error:
        raise InputError(f"cannot use '{path}': {error.cause}", error.remedy) from error


def check_is_photo(path: Path) -> None:
    """Refuse what ``read_photo`` would refuse by the first bytes; a pipe is left unread.

    Raises:
        InputError: if there is no such file, or it is not a photo of a supported kind.
    """
    try:
        if not path.is_fifo():
            _read_file(path, HEAD_BYTES)
    except OSError as error:
        raise InputError(f"cannot use '{path}' ({error.strerror})", "check its permissions") from error
    except InputError as error:
        raise InputError(f"cannot use '{path}': {error.cause}", error.remedy) from error


def _kind_of(data: bytes) -> str:
    """The format of a whole file; a camera RAW is distinguished from other TIFF files by its directories."""
    kind = identify(data[:HEAD_BYTES])
    if kind == "TIFF" and raw_metadata.is_raw(data):
        kind = CAMERA_RAW
    return _with_package(kind)


def _with_package(kind: str) -> str:
    if lack := missing_package(kind):
        raise InputError(*lack)
    return kind


def _read_file(path: Path, size: int = -1) -> bytes:
    """The first ``size`` bytes of a file, by default all; of a pipe always all."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError("it is a folder", "give its photos, such as dir/*.jpg")
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise InputError("it is a device, not a file", READABLE)
        with path.open("rb") as handle:
            head = handle.read(HEAD_BYTES)
            _with_package(identify(head))
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
    """Decode; whatever a codec library raises on broken bytes becomes an InputError.

    The libraries promise no closed set of exceptions for hostile files, hence the broad clause here.
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
            raise InputError(
                f"a {kind} file of this kind is not supported ({error})"[:200],
                "convert it to PNG or TIFF first, for example with ImageMagick",
            ) from error
        telling = isinstance(error, (OSError, ValueError, RuntimeError, SyntaxError)) and str(error)
        raise damaged(f"{kind}: {error}"[:200] if telling else f"its {kind} structure is broken") from error


def upright_photo(decoded: Decoded, kind: str, white: float | None) -> Photo:
    """A photo of what was decoded: its metadata checked, its orientation settled, its pixels upright.

    Broken EXIF, XMP or ICC data are left out with a warning. ``white`` is that of ``read_photo``.

    Raises:
        InputError, UsageError: as ``white_of`` does.
    """
    white, doubts = white_of(decoded.pixels, white)
    found = description.checked(decoded.metadata)
    metadata, notes = found.metadata, [*decoded.warnings, *doubts]
    if metadata.icc is not None:
        profile, wrong = _fitting_profile(metadata.icc, decoded.pixels.shape[2])
        notes += wrong
        metadata = replace(metadata, icc=profile)
    orientation = decoded.orientation or found.exif_orientation or found.xmp_orientation or 1
    pixels = decoded.pixels
    if decoded.associated and decoded.alpha is not None:
        pixels, lost_light = alpha.divided(pixels, decoded.alpha, white or full_scale(pixels.dtype))
        if lost_light:
            notes.append("its premultiplied colours exceed their alpha in places and are clipped to it")
    pixels = upright(pixels, orientation)
    # Where the decoder has turned the picture itself, EXIF says how: its places are of the picture before.
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


def _fitting_profile(profile: bytes, colours: int) -> tuple[bytes | None, list[str]]:
    """The profile for pixels of 1 or 3 colours, if there is one, and what is wrong with the file's own."""
    if not icc.is_whole(profile):
        return None, ["broken ICC profile left out"]
    if icc.fits(profile, colours):
        return profile, []
    fitting = icc.for_colours(profile, colours)
    fate = "left out" if fitting is None else "replaced by one of the same tone curve"
    pixels = "grey" if colours == 1 else "RGB"
    return fitting, [f"its ICC profile is for {icc.colours_of(profile)}, not for {pixels} pixels: {fate}"]
