"""Formats that need a package of their own, and the one line that says how to get it."""

from importlib.util import find_spec
from typing import NamedTuple

HEIC, JPEG_XL, CAMERA_RAW = "HEIC", "JPEG XL", "camera RAW"


class Extra(NamedTuple):
    """The extra of defocusctl that brings a format, and the module that comes with it."""

    name: str
    module: str


EXTRAS = {
    HEIC: Extra("heif", "pillow_heif"),
    JPEG_XL: Extra("jxl", "pyjpegxl"),
    CAMERA_RAW: Extra("raw", "rawpy"),
}


def missing_package(kind: str) -> tuple[str, str] | None:
    """Cause and remedy if the package for a format is not installed, else None; imports nothing."""
    extra = EXTRAS.get(kind)
    if extra is None or find_spec(extra.module) is not None:
        return None
    return f"{kind} needs a further package", f"install it with: pip install 'defocusctl[{extra.name}]'"
