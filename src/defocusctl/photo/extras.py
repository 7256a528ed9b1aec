"""Formats that need a package of their own, and the one line that says how to get it."""

import platform
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

JPEG_XL_BUILDS = ("Linux x86_64", "Darwin arm64", "Windows AMD64")
"""Where pyjpegxl can be had ready-made; the extra in pyproject.toml asks for it there only."""


def missing_package(kind: str) -> tuple[str, str] | None:
    """Cause and remedy if the package for a format is not installed, else None; imports nothing."""
    extra = EXTRAS.get(kind)
    if extra is None or find_spec(extra.module) is not None:
        return None
    if kind == JPEG_XL and (here := f"{platform.system()} {platform.machine()}") not in JPEG_XL_BUILDS:
        return f"JPEG XL needs pyjpegxl, which has no build for {here}", "convert with djxl or cjxl"
    return f"{kind} needs a further package", f"install it with: pip install 'defocusctl[{extra.name}]'"
