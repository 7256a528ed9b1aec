"""Reads and writes photos with everything that must survive: depth, alpha, ICC, EXIF, XMP, resolution."""

from defocusctl.photo.description import cropped, is_own
from defocusctl.photo.mask import Mask, fitted, mask_of, read_mask
from defocusctl.photo.model import IN_MEMORY, Decoded, Metadata, Photo, Provenance, Resolution
from defocusctl.photo.read import (
    DEFAULT_MAX_MEGAPIXELS,
    check_is_photo,
    read_content,
    read_photo,
    upright_photo,
)
from defocusctl.photo.targets import backup_path, check_replaceable, check_writable_target, output_path
from defocusctl.photo.write import conversion_warnings, write_photo

__all__ = [
    "DEFAULT_MAX_MEGAPIXELS",
    "IN_MEMORY",
    "Decoded",
    "Mask",
    "Metadata",
    "Photo",
    "Provenance",
    "Resolution",
    "backup_path",
    "check_is_photo",
    "check_replaceable",
    "check_writable_target",
    "conversion_warnings",
    "cropped",
    "fitted",
    "is_own",
    "mask_of",
    "output_path",
    "read_content",
    "read_mask",
    "read_photo",
    "upright_photo",
    "write_photo",
]
