"""What ``Deblurrer.deblur`` takes: files, NumPy arrays, Pillow images, PyTorch tensors, to photos and back.

Axes: H rows, W columns, C channels: grey, grey and alpha, RGB, or RGB and alpha.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from defocusctl.errors import DefocusctlError, InputError, UsageError
from defocusctl.photo import IN_MEMORY, Decoded, Metadata, Photo, Resolution, ifd, read_photo, upright_photo
from defocusctl.photo.exif import HEADER as EXIF_HEADER
from defocusctl.photo.exif import ORIENTATION
from defocusctl.photo.formats.tiff_tags import DESCRIPTION, DESCRIPTIVE, SHAPE_DESCRIPTION
from defocusctl.photo.white import white_of

Array: TypeAlias = npt.NDArray[Any]
File: TypeAlias = str | os.PathLike[str] | bytes  # a photo's path, or the bytes of its file
FileT = TypeVar("FileT", bound=File)
ImageT = TypeVar("ImageT", Array, Image.Image, Tensor)
T = TypeVar("T")
Batch: TypeAlias = list[T] | tuple[T, ...]

SUPPORTED_MODES = ("L", "LA", "RGB", "RGBA", "I;16", "I;16L", "I;16B", "F")
PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
# What images are converted to, so that arrays hold the displayed colours, with all transparency as alpha:
WITH_ALPHA = {"L": "LA", "RGB": "RGBA", "P": "RGBA", "PA": "RGBA", **PREMULTIPLIED}
WITHOUT_ALPHA = {"1": "L", "P": "RGB"}


@dataclass(frozen=True)
class LoadedImage(Generic[ImageT]):
    """An image as a photo, how to convert a photo back to that kind of image, and its source file, if any."""

    photo: Photo
    convert_back: Callable[[Photo], ImageT]
    source: Path | None = None


def load_image(image: Any, max_megapixels: float, white: float | None) -> LoadedImage[Any]:
    """Load an image of any of these kinds as a photo; ``white`` is as in ``read_photo``.

    Raises:
        InputError: if it cannot be read, or is of another kind, shape, mode or type.
        UsageError: if ``max_megapixels`` or ``white`` is not above 0.
    """
    if not max_megapixels > 0:
        raise UsageError(f"a limit of {max_megapixels:g} megapixels is not possible", "give a number above 0")
    match image:
        case str() | os.PathLike():
            source = Path(image)
            photo = read_photo(source, max_megapixels=max_megapixels, white=white)
            return LoadedImage(photo, _to_array, source.absolute())
        case bytes():
            named = "the bytes given"
            photo = read_photo(image, named=named, max_megapixels=max_megapixels, white=white)
            return LoadedImage(photo, _to_array)
        case np.ndarray():
            return _from_array(image, white)
        case Image.Image():
            return _from_pillow(image, white)
        case Tensor():
            return _from_tensor(image, white)
        case _:
            remedy = "give a path, a NumPy array, a Pillow image, a tensor, or a list of these"
            raise InputError(f"an object of type {type(image).__name__} is not an image", remedy)


def _from_array(image: Array, white: float | None) -> LoadedImage[Array]:
    """(H, W) grey, or (H, W, C) with C from 1 to 4; uint8, uint16, or floats with ``white``, by default 1."""
    pixels, alpha = _split_alpha(image)
    white, warnings = white_of(pixels, white)

    def convert_back(photo: Photo) -> Array:
        after = _to_array(photo)
        return after.reshape(*after.shape[:2], *image.shape[2:]).astype(image.dtype.newbyteorder("="))

    return LoadedImage(Photo(pixels, alpha, IN_MEMORY, warnings=warnings, white=white), convert_back)


def _from_tensor(image: Tensor, white: float | None) -> LoadedImage[Tensor]:
    """(C, H, W) with C = 1, 3 or 4 on any device; dtypes as for arrays, and bfloat16.

    Converting back returns a tensor on the same device, without a gradient.
    """
    if image.ndim != 3 or image.shape[0] not in (1, 3, 4):
        remedy = "give (channels, height, width) with 1, 3 (RGB) or 4 channels, or a batch of these"
        raise InputError(f"a tensor of shape {tuple(image.shape)} is not an image", remedy)
    if image.layout is not torch.strided or image.is_complex() or image.is_quantized:
        raise InputError(f"a {image.layout} tensor of {image.dtype} is not an image", "give a dense one")
    host = image.detach().cpu()
    if host.is_floating_point():
        host = host.float()
    loaded = _from_array(host.permute(1, 2, 0).numpy(), white)

    def convert_back(photo: Photo) -> Tensor:
        after = np.ascontiguousarray(loaded.convert_back(photo).transpose(2, 0, 1))
        return torch.from_numpy(after).to(image.device, image.dtype)

    return LoadedImage(loaded.photo, convert_back)


def _to_array(photo: Photo) -> Array:
    """The pixels of a photo with its alpha: (H, W), (H, W, 2), (H, W, 3) or (H, W, 4)."""
    if photo.alpha is not None:
        return np.dstack([photo.pixels, photo.alpha])
    return photo.pixels[:, :, 0] if photo.pixels.shape[2] == 1 else photo.pixels


def _split_alpha(image: Array) -> tuple[Array, Array | None]:
    """The pixels (H, W, 1 or 3) of an array and its alpha (H, W), as uint8, uint16 or float32."""
    if image.ndim not in (2, 3) or (image.ndim == 3 and not 1 <= image.shape[2] <= 4) or 0 in image.shape:
        cause = f"an array of shape {image.shape} is not an image"
        raise InputError(cause, "give (height, width) or (height, width, channels) with at most 4 channels")
    if image.dtype.kind == "f":
        with np.errstate(over="ignore"):  # values that overflow are refused when restored
            samples = image.astype(np.float32)
    elif image.dtype.kind == "u" and image.dtype.itemsize <= 2:
        samples = image.astype(image.dtype.newbyteorder("="), copy=False)
    else:
        cause = f"samples of type {image.dtype} are not supported"
        raise InputError(cause, "give uint8, uint16 or floats from 0 to 1")
    samples = samples.reshape(*image.shape[:2], -1)
    count = samples.shape[2]
    pixels = np.ascontiguousarray(samples[:, :, : 1 if count <= 2 else 3])
    return pixels, np.ascontiguousarray(samples[:, :, -1]) if count in (2, 4) else None


def _from_pillow(image: Image.Image, white: float | None) -> LoadedImage[Image.Image]:
    """An image of mode 1, L, LA, La, P, PA, RGB, RGBA, RGBa, I;16 or F, rotated as its EXIF says.

    White is ``white`` in mode F, 1 by default. Converting back keeps the mode, but palettes become their
    colours and mode 1 becomes grey.
    """
    try:
        image.load()
        modes = WITH_ALPHA if image.has_transparency_data else WITHOUT_ALPHA
        direct = image.convert(modes[image.mode]) if image.mode in modes else image
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"the image cannot be read ({error})", "open it again") from error
    if direct.mode not in SUPPORTED_MODES:
        other = "I;16" if direct.mode == "I" else "RGB"
        raise InputError(f"images of mode {image.mode} are not supported", f"convert it to '{other}' first")
    pixels, alpha = _split_alpha(np.asarray(direct))
    photo = upright_photo(Decoded(pixels, alpha, _metadata(image)), IN_MEMORY, white)
    return LoadedImage(photo, partial(_convert_back, mode=image.mode))


def _metadata(image: Image.Image) -> Metadata:
    info, exif = image.info, _exif(image)
    xmp, dpi = info.get("xmp"), info.get("dpi")
    return Metadata(
        icc=info.get("icc_profile") or None,
        exif=exif,
        xmp=xmp.encode() if isinstance(xmp, str) else xmp or None,
        resolution=Resolution(float(dpi[0]), float(dpi[1]), "inch") if dpi and min(dpi) > 0 else None,
    )


def _exif(image: Image.Image) -> bytes | None:
    """The EXIF block: as read, or as ``getexif`` has it if that was changed or is a TIFF's directory."""
    stored: bytes = image.info.get("exif", b"")
    as_read = Image.Image()
    as_read.info = image.info
    try:
        exif = _descriptive(image.getexif()) if image.format == "TIFF" else image.getexif()
        block = exif.tobytes()
        if stored and block == as_read.getexif().tobytes():
            return stored  # with all offsets in its maker note
    except Exception:  # of any kind, from broken blocks and values that do not fit
        return stored  # an empty block is called broken
    return block if exif else None


def _descriptive(directory: Image.Exif) -> Image.Exif:
    """What a TIFF's directory holds that EXIF may: nothing about how pixels are stored."""
    exif = Image.Exif()
    exif.endian = directory.endian
    for code in directory.keys() & (DESCRIPTIVE | {ORIENTATION}):
        exif[code] = directory[code]
    if str(exif.get(DESCRIPTION)).startswith(SHAPE_DESCRIPTION.decode()):
        del exif[DESCRIPTION]
    for pointer in (ifd.EXIF_IFD, ifd.GPS_IFD):
        if found := directory.get_ifd(pointer):
            exif[pointer] = {code: found[code] for code in found.keys() - {ifd.INTEROP_IFD}}
    return exif


def _convert_back(photo: Photo, mode: str) -> Image.Image:
    image = Image.fromarray(_to_array(photo))
    if mode in PREMULTIPLIED:
        image = image.convert(mode)
    metadata = photo.metadata
    info = {
        "icc_profile": metadata.icc,
        "exif": metadata.exif and EXIF_HEADER + metadata.exif,
        "xmp": metadata.xmp,
        "dpi": metadata.resolution and metadata.resolution.per("inch"),
    }
    image.info.update({name: value for name, value in info.items() if value})
    return image


@contextmanager
def numbered_errors(first: int, last: int, count: int) -> Iterator[None]:
    """Make errors in this block say which of several images they are about."""
    try:
        yield
    except DefocusctlError as error:
        if count == 1:
            raise
        name = f"image {last}" if first == last else f"images {first} to {last}"
        raise type(error)(f"{name} of {count}: {error.cause}", error.remedy) from error
