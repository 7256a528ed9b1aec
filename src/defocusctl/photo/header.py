"""Recognises a file's format by its first bytes, or says why it cannot be read; lists optional packages."""

import codecs
import platform
from importlib.util import find_spec
from typing import NamedTuple

from defocusctl.errors import InputError

HEIC, JPEG_XL, CAMERA_RAW = "HEIC", "JPEG XL", "camera RAW"
HEAD_BYTES = 4096
VIDEO = "video"
TRANSPORT_PACKET, TRANSPORT_SYNC = 188, 0x47  # an MPEG transport stream

STARTS = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "BMP": (b"BM",),
    JPEG_XL: (b"\xff\x0a", b"\0\0\0\x0cJXL "),
    CAMERA_RAW: (b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"IIRO", b"IIRS", b"MMOR", b"IIU\0"),
    "GIF": (b"GIF8",),
    "JPEG 2000": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "Photoshop document": (b"8BPS",),
    "PDF document": (b"%PDF",),
    VIDEO: (
        *(b"\x1aE\xdf\xa3", b"OggS", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"FLV\x01", b"YUV4MPEG2 "),
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    ),
    "ZIP archive": (b"PK\x03\x04",),
    "gzip archive": (b"\x1f\x8b",),
    "7z archive": (b"7z\xbc\xaf",),
    "PAM picture": (b"P7\n",),
    "PFM picture": (b"PF\n", b"Pf\n"),
    "OpenEXR picture": (b"\x76\x2f\x31\x01",),
    "Radiance HDR picture": (b"#?RADIANCE",),
    "icon": (b"\0\0\x01\0",),
    "NumPy array": (b"\x93NUMPY",),
}
"""The formats, supported or not, that a file's first bytes tell."""
ISO_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), HEIC),
    b"crx ": CAMERA_RAW,
}

FRAMES = "extract the frames you want, for example with: ffmpeg -i FILE frame_%05d.png"
REMEDY = {"GIF": f"save it as PNG first, or {FRAMES}"}

READABLE = "give a JPEG, PNG, TIFF, WebP, BMP, PPM/PGM, AVIF, HEIC, JPEG XL or camera RAW photo"
KINDS = frozenset({"JPEG", "PNG", "TIFF", "WEBP", "BMP", "PPM", "AVIF", HEIC, JPEG_XL, CAMERA_RAW})


class Extra(NamedTuple):
    """The extra of defocusctl that adds a format, and the module that it installs."""

    name: str
    module: str


EXTRAS = {
    HEIC: Extra("heif", "pillow_heif"),
    JPEG_XL: Extra("jxl", "pyjpegxl"),
    CAMERA_RAW: Extra("raw", "rawpy"),
}

JPEG_XL_BUILDS = ("Linux x86_64", "Darwin arm64", "Windows AMD64")
"""Platforms with pyjpegxl wheels; the extra in pyproject.toml requires it only there."""


def identify(head: bytes) -> str:
    """One of ``KINDS`` by a file's first bytes, or an InputError; a camera RAW may appear as "TIFF"."""
    if not head:
        raise InputError("the file is empty", "copy it again from where it came from")
    kind = _kind(head)
    if kind == "BMP" and head[2:] and _looks_like_text(head):
        kind = None
    if kind in KINDS:
        return kind
    if kind == VIDEO:
        raise InputError("videos are out of scope: this program restores single photos", FRAMES)
    if kind:
        article = "an" if kind[0] in "AEIO" else "a"
        raise unsupported(f"{article} {kind}", REMEDY.get(kind, f"convert it first, or {READABLE}"))
    if _looks_like_text(head):
        raise InputError("this is a text file, not a photo", READABLE)
    raise InputError("this is not a photo of a known format", READABLE)


def _kind(head: bytes) -> str | None:
    for kind, starts in STARTS.items():
        if head.startswith(starts):
            return kind
    if head[4:8] == b"ftyp":
        return _iso_kind(head)
    if head[4:8] in (b"moov", b"mdat", b"wide"):
        return VIDEO
    if head[:4] == b"RIFF":
        return {b"WEBP": "WEBP", b"AVI ": VIDEO}.get(head[8:12], "RIFF file")
    if len(head) > TRANSPORT_PACKET and head[0] == head[TRANSPORT_PACKET] == TRANSPORT_SYNC:
        return VIDEO
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return CAMERA_RAW if head[8:10] == b"CR" else "TIFF"
    if head[:2] in (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6") and head[2:3] in b" \t\r\n#":
        return "PPM"
    return None


def _iso_kind(head: bytes) -> str:
    """HEIC, AVIF and videos share a container format; the brands at its start distinguish them."""
    length = min(max(int.from_bytes(head[:4], "big"), 16), len(head))
    brands = [head[8:12]] + [head[i : i + 4] for i in range(16, length, 4)]
    if b"avif" in brands or b"avis" in brands:
        return "AVIF"
    return next((ISO_BRANDS[brand] for brand in brands if brand in ISO_BRANDS), VIDEO)


def _looks_like_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # the head may end inside a character
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\t\r\n\f" for character in text)


def missing_package(kind: str) -> tuple[str, str] | None:
    """Cause and remedy if the package for a format is missing, else None; imports nothing."""
    extra = EXTRAS.get(kind)
    if extra is None or find_spec(extra.module) is not None:
        return None
    if kind == JPEG_XL and (here := f"{platform.system()} {platform.machine()}") not in JPEG_XL_BUILDS:
        return f"JPEG XL needs pyjpegxl, which has no build for {here}", "convert with djxl or cjxl"
    return f"{kind} needs an optional package", f"install it with: pip install 'defocusctl[{extra.name}]'"


def check_size(width: int, height: int, max_megapixels: float) -> None:
    """Refuse a size from a file's header if it is not positive or above the limit, before decoding."""
    if width < 1 or height < 1:
        raise InputError(f"its header claims a size of {width}x{height} pixels", "the file is damaged")
    megapixels = width * height / 1e6
    if megapixels > max_megapixels:
        raise InputError(
            f"it claims {width}x{height} pixels, {megapixels:.4g} megapixels, "
            f"above the limit of {max_megapixels:g}",
            "if that is right and memory allows, raise the limit with --max-megapixels",
        )


def damaged(detail: str) -> InputError:
    """The error for a broken file of a supported format."""
    return InputError(
        f"it is damaged or cut short ({' '.join(detail.split())})", "copy it again from where it came from"
    )


def unsupported(kind: str, remedy: str) -> InputError:
    """The error for what a format allows but this program does not read."""
    return InputError(f"{kind} is not supported", remedy)
