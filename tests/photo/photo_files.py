"""Small photo files of every kind, made in memory by encoders other than the ones under test."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageCms

from defocusctl.photo import Photo, Provenance, write_photo

DATA = Path(__file__).parent / "data"
PROVENANCE = Provenance(
    "defocusctl 0.1.0",
    {"model": "iniknet", "weights": "bundled", "weights_sha256": "ab" * 32, "strength": 0.5},
)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    b'tiff:Orientation="1" dc:format="kept"><dc:subject><rdf:Bag><rdf:li>moth</rdf:li></rdf:Bag></dc:subject>'
    b'</rdf:Description></rdf:RDF></x:xmpmeta>\n    \n<?xpacket end="w"?>'
)


def scene(height: int = 24, width: int = 40, channels: int = 3, dtype: str = "uint8") -> np.ndarray:
    """A smooth picture with some texture that fills the range of its type."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(columns / (5 + c) + c) * np.cos(rows / (4 + c)) for c in range(channels)]
    unit = (np.stack(waves, axis=-1) + 1) / 2
    kind = np.dtype(dtype)
    return np.rint(unit * np.iinfo(kind).max).astype(kind) if kind.kind == "u" else unit.astype(kind)


def exif_block(orientation: int = 1, xmp: bytes | None = None) -> bytes:
    """An EXIF block with orientation, camera, resolution and a maker note."""
    exif = Image.Exif()
    exif[274], exif[271], exif[306] = orientation, "Camera", "2024:05:06 07:08:09"
    exif[282], exif[283], exif[296] = 240.0, 240.0, 2
    if xmp is not None:
        exif[700] = xmp
    details = exif.get_ifd(34665)
    details[37386], details[40962], details[40963] = 50.0, 40, 24
    details[37500] = b"maker note " * 5
    return exif.tobytes().removeprefix(b"Exif\0\0")


def pillow(array: np.ndarray, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    squeezed = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
    Image.fromarray(squeezed).save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(array: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, metadata=None, **options)
    return buffer.getvalue()


def png_chunk(name: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


def png(array: np.ndarray, bits: int = 8, extra: bytes = b"") -> bytes:
    """A PNG with unfiltered rows; arrays of 1 to 4 channels, or packed rows for fewer than 8 bits."""
    height, width = array.shape[:2]
    channels = array.shape[2] if array.ndim == 3 else 1
    if bits < 8:
        shifts = range(8 - bits, -1, -bits)
        padded = np.pad(array.reshape(height, width), ((0, 0), (0, -width % len(shifts))))
        parts = padded.reshape(height, -1, len(shifts))
        rows = sum(parts[:, :, i].astype(np.uint8) << shift for i, shift in enumerate(shifts)).astype(
            np.uint8
        )
    else:
        rows = array.astype(">u2" if bits == 16 else np.uint8).reshape(height, -1)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra
        + png_chunk(b"IDAT", zlib.compress(body))
        + png_chunk(b"IEND", b"")
    )


def interlaced_png(array: np.ndarray, bits: int) -> bytes:
    """An Adam7 PNG of an array (H, W, C) with 8 or 16 bits."""
    rows = []
    for x, y, dx, dy in (
        *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
        *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
    ):
        part = array[y::dy, x::dx].astype(">u2" if bits == 16 else np.uint8)
        rows += [b"\0" + row.tobytes() for row in part if row.size]
    plain = png(array, bits)
    header = plain[16:28] + b"\1"
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")
    return plain[:8] + b"".join(png_chunk(name, payload) for name, payload in chunks)


def png_metadata() -> bytes:
    """Chunks with ICC, EXIF, XMP, text, gamma and resolution."""
    return b"".join(
        png_chunk(name, payload)
        for name, payload in (
            (b"gAMA", struct.pack(">I", 45455)),
            (b"iCCP", b"name\0\0" + zlib.compress(ICC)),
            (b"pHYs", struct.pack(">IIB", 7874, 7874, 1)),
            (b"eXIf", exif_block()),
            (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
            (b"tEXt", b"Author\0somebody"),
        )
    )


def seeds() -> dict[str, bytes]:
    """One small file of every kind that can be read."""
    rgb, rgba = scene(), scene(channels=4)
    grey = rgb[:, :, 0]
    deep = scene(dtype="uint16")
    common = {"exif": b"Exif\0\0" + exif_block(6), "icc_profile": ICC, "xmp": XMP}
    return {
        "jpeg": pillow(rgb, "JPEG", quality=90, dpi=(240, 240), **common),
        "jpeg-progressive": pillow(rgb, "JPEG", progressive=True, subsampling=1),
        "jpeg-grey": pillow(grey, "JPEG"),
        "png": png(rgb, extra=png_metadata()),
        "png-16": png(scene(channels=4, dtype="uint16"), 16),
        "png-interlaced": interlaced_png(deep, 16),
        "png-2": png(grey >> 6, 2),
        "png-palette": (DATA / "tbbn3p08.png").read_bytes(),
        "tiff-16-lzw": tiff(deep, photometric="rgb", compression="lzw", predictor=True),
        "tiff-lzw-tiles": tiff(rgb, photometric="rgb", compression="lzw", tile=(16, 16)),
        "tiff-packbits": tiff(rgb, photometric="rgb", compression="packbits", rowsperstrip=7),
        "tiff-zstd": tiff(deep, photometric="rgb", compression="zstd", predictor=True),
        "tiff-float": tiff(scene(dtype="float32"), photometric="rgb", compression="deflate", predictor=True),
        "tiff-tiles": tiff(
            rgba, photometric="rgb", tile=(16, 16), extrasamples=["unassalpha"], iccprofile=ICC
        ),
        "tiff-jpeg": tiff(rgb, photometric="rgb", compression="jpeg"),
        "tiff-palette": tiff(
            grey, photometric="palette", colormap=np.arange(768, dtype="u2").reshape(3, 256)
        ),
        "webp": pillow(rgba, "WEBP", quality=80, **common),
        "webp-lossless": pillow(rgb, "WEBP", lossless=True),
        "bmp": pillow(rgb, "BMP", dpi=(300, 300)),
        "bmp-grey": pillow(grey, "BMP"),
        "ppm": pillow(rgb, "PPM"),
        "pgm-16": b"P5\n40 24\n65535\n" + deep[:, :, 0].astype(">u2").tobytes(),
        "ppm-plain": b"P3\n# text\n3 2\n255\n" + b" ".join(b"%d" % (13 * i) for i in range(18)),
        "pbm": b"P4\n40 24\n" + np.packbits(grey > 127, axis=1).tobytes(),
        "avif": pillow(rgb, "AVIF", quality=80, **common),
    }


def mutants(files: dict[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Damaged copies: flipped bits, cut ends, overwritten numbers, spliced, long and repeated stretches."""
    rng = np.random.default_rng(seed)
    names = list(files)
    extremes = (0, 1, 0x7F, 0x80, 0xFF)
    for index in range(count):
        name = names[index % len(names)]
        data = bytearray(files[name])
        header = min(len(data), 400)
        for _ in range(int(rng.integers(1, 4))):
            place = int(rng.integers(0, len(data) if rng.random() < 0.4 else header))
            match int(rng.integers(0, 10)):
                case 0:
                    data[place % len(data)] ^= 1 << int(rng.integers(0, 8))
                case 1:
                    data[place % len(data)] = extremes[int(rng.integers(0, len(extremes)))]
                case 2:
                    data = data[: max(place, 1)]
                case 3:
                    length = int(rng.choice([2, 4]))
                    number = int(rng.choice([0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1])) % 2 ** (
                        8 * length
                    )
                    data[place : place + length] = number.to_bytes(length, str(rng.choice(["big", "little"])))
                case 4:
                    other = files[names[int(rng.integers(0, len(names)))]]
                    start = int(rng.integers(0, len(other)))
                    data[place : place + 32] = other[start : start + 32]
                case 5:
                    del data[place : place + int(rng.integers(1, 9))]
                case 6:  # one byte over and over, as in erased memory
                    run = bytes((int(rng.choice([0, 0x20, 0xFF, data[place % len(data)]])),))
                    data[place:place] = run * 2 ** int(rng.integers(8, 17))
                case 7:  # one part over and over: segments, chunks, elements
                    part = bytes(data[place : place + int(rng.integers(2, 129))])
                    data[place:place] = part * 2 ** int(rng.integers(4, 11))
                case 8:  # one offset or length over and over
                    number = bytes(data[place : place + 4])
                    data[place : place + 64] = number * 16
                case _:
                    data[place:place] = data[place : place + int(rng.integers(1, 33))]
            if not data:
                data = bytearray(b"\0")
        yield name, _repaired(bytes(data)) if name.startswith("png") and rng.random() < 0.7 else bytes(data)


def _repaired(data: bytes) -> bytes:
    """The PNG with right checksums, so that damage gets past them."""
    out, position = data[:8], 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        if position + 12 + length > len(data):
            break
        out += png_chunk(data[position + 4 : position + 8], data[position + 8 : position + 8 + length])
        position += 12 + length
    return out + data[position:]


def rewritten(photo: Photo, pixels: np.ndarray | None = None, quality: int | None = None) -> bytes:
    """The file that ``write_photo`` makes of a photo, in its own format, by default with its own pixels."""
    buffer = io.BytesIO()
    pixels = photo.pixels if pixels is None else pixels
    write_photo(photo, pixels, buffer, quality=quality, provenance=PROVENANCE)
    return buffer.getvalue()
