"""A photo in memory: pixels, alpha, and everything else that must survive from the input to the output.

Axes: H rows, W columns, C colours (1 grey or 3 RGB).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from defocusctl.photo.geometry import Size

Samples = npt.NDArray[Any]
Chunk = tuple[bytes, bytes]


@dataclass(frozen=True)
class Resolution:
    """Pixels per unit of length; with the unit "none", only the ratio of ``x`` to ``y`` is meaningful."""

    x: float
    y: float
    unit: Literal["none", "inch", "cm", "m"]

    @property
    def transposed(self) -> "Resolution":
        return Resolution(self.y, self.x, self.unit)

    def per(self, unit: Literal["inch", "m"]) -> tuple[float, float] | None:
        """Pixels per inch or metre along x and y; None if only the ratio is known."""
        metres = {"inch": 0.0254, "cm": 0.01, "m": 1.0}
        if self.unit == "none":
            return None
        factor = metres[unit] / metres[self.unit]
        return self.x * factor, self.y * factor

    def resembles(self, other: "Resolution") -> bool:
        """Whether both say the same, apart from rounding to whole pixels."""
        ours, theirs = ((*(each.per("inch") or (0, 0)), each.x / each.y) for each in (self, other))
        return all(math.isclose(a, b, rel_tol=0.01) for a, b in zip(ours, theirs, strict=True))


@dataclass(frozen=True)
class JpegCoding:
    """How a JPEG was compressed, and the segments to copy unchanged.

    ``tables`` are the quantisation tables of the components, 64 numbers each in rows; ``subsampling`` is
    Pillow's code (0 = 4:4:4, 1 = 4:2:2, 2 = 4:2:0); ``rgb`` means that no YCbCr transform was used.
    """

    tables: tuple[tuple[int, ...], ...]
    subsampling: int
    rgb: bool
    segments: tuple[tuple[int, bytes], ...]

    @property
    def transposed(self) -> "JpegCoding":
        """The coding for the picture rotated by 90 degrees, nowhere coarser than this one."""
        squares = (np.array(table).reshape(8, 8) for table in self.tables)
        tables = tuple(tuple(np.minimum(square, square.T).ravel().tolist()) for square in squares)
        return replace(self, tables=tables, subsampling=0 if self.subsampling == 1 else self.subsampling)


@dataclass(frozen=True)
class PngCoding:
    """The chunks of a PNG to copy unchanged: colour space, text and calibration."""

    chunks: tuple[Chunk, ...]

    @property
    def transposed(self) -> "PngCoding":
        """The coding for the picture rotated by 90 degrees: the sides of a pixel (sCAL) are swapped."""
        chunks = []
        for name, payload in self.chunks:
            if name == b"sCAL":
                width, separator, height = payload[1:].partition(b"\0")
                payload = payload[:1] + height + separator + width
            chunks.append((name, payload))
        return PngCoding(tuple(chunks))


UNSPECIFIED_ALPHA, ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA = 0, 1, 2  # ExtraSamples of TIFF 6.0


@dataclass(frozen=True)
class TiffTag:
    """A TIFF tag as stored: code, data type code, count, and the value's bytes in the file's byte order."""

    code: int
    kind: int
    count: int
    value: bytes


@dataclass(frozen=True)
class TiffCoding:
    """How a TIFF was stored; ``dtype`` is the samples' type in the file, ``alpha`` the ExtraSamples code."""

    byte_order: Literal["<", ">"]
    compression: int
    predictor: int
    dtype: str
    alpha: int
    tags: tuple[TiffTag, ...]


@dataclass(frozen=True)
class WebpCoding:
    """Whether a WebP was lossless."""

    lossless: bool


@dataclass(frozen=True)
class PnmCoding:
    """The value of white in a PPM or PGM file."""

    maxval: int


@dataclass(frozen=True)
class HeifCoding:
    """How a HEIC was stored: bits, chroma (444, 422 or 420), colour codes.

    ``colours`` are primaries and transfer (ITU-T H.273) if there is no ICC profile; ``light`` is the file's
    HDR brightness information, with pillow-heif's keys.
    """

    depth: int
    chroma: int
    lossless: bool
    colours: tuple[int, int] | None
    light: tuple[tuple[str, Any], ...]


Coding = JpegCoding | PngCoding | TiffCoding | WebpCoding | PnmCoding | HeifCoding


@dataclass(frozen=True)
class Metadata:
    """What accompanies the pixels: raw ICC, EXIF (a TIFF block) and XMP bytes, resolution, coding."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    resolution: Resolution | None = None
    coding: Coding | None = None


@dataclass(frozen=True)
class Decoded:
    """A decoder's output: pixels as stored, before the orientation is applied.

    ``orientation`` is the container's own (a TIFF tag); None leaves it to EXIF or XMP. ``associated`` means
    that the colours are premultiplied by alpha.
    """

    pixels: Samples  # (H, W, C)
    alpha: Samples | None  # (H, W)
    metadata: Metadata
    orientation: int | None = None
    warnings: tuple[str, ...] = ()
    associated: bool = False


IN_MEMORY = "image in memory"  # the format of a photo that is not from a file


@dataclass(frozen=True)
class Photo:
    """A photo as read from a file, upright.

    ``pixels`` is (H, W, 1) grey or (H, W, 3) RGB in the depth of the file: uint8, uint16, or float32 for
    floating-point files. ``alpha`` is (H, W) of the same type, or None; colours are never premultiplied by
    it. ``format`` is the default format to write: its own, or TIFF for a camera RAW. ``white`` is the value
    of white in floating-point pixels and their alpha if it is not 1.
    """

    pixels: Samples
    alpha: Samples | None
    format: str
    metadata: Metadata = field(default_factory=Metadata)
    warnings: tuple[str, ...] = ()
    white: float | None = None

    @classmethod
    def of_pixels(cls, pixels: Samples, white: float) -> Self:
        """A photo of (H, W, 1 or 3) pixels that are not from a file; ``white`` is their white."""
        return cls(pixels, None, IN_MEMORY, white=white)

    @property
    def size(self) -> Size:
        return Size(self.pixels.shape[0], self.pixels.shape[1])

    @property
    def transparency(self) -> Samples | None:
        """The alpha that makes pixels transparent; a TIFF's channel of unspecified meaning may not do so."""
        coding = self.metadata.coding
        unspecified = isinstance(coding, TiffCoding) and coding.alpha == UNSPECIFIED_ALPHA
        return None if unspecified else self.alpha

    @property
    def full_scale(self) -> float:
        """The value of white: 255, 65535, or for floating point ``white``, by default 1."""
        return full_scale(self.pixels.dtype) if self.white is None else self.white


@dataclass(frozen=True)
class Provenance:
    """How an output was made: the program and its version; model, weights, checksum and settings by name."""

    software: str
    settings: Mapping[str, str | int | float]


def full_scale(dtype: np.dtype[Any]) -> float:
    """The value of white in samples of this type."""
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else 1.0


def rescaled(samples: Samples, white: int, wanted: int) -> Samples:
    """Integers of 0 to ``white`` as integers of 0 to ``wanted``, rounded; both at most 65535."""
    scaled: Samples = (samples.astype(np.uint32) * wanted + white // 2) // white
    return scaled.astype(np.uint8 if wanted <= 255 else np.uint16)
