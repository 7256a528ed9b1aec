"""Metadata do not show, claim or place what the result does not: previews, videos, faces, sizes."""

import base64
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defocusctl.photo import Photo, cropped, exif_embedded, ifd, read_photo, write_photo
from defocusctl.photo.geometry import Box, Size
from defocusctl.photo.ifd import EXIF_IFD, GPS_IFD, INTEROP_IFD
from defocusctl.photo.model import TiffCoding, TiffTag
from defocusctl.photo.photoshop import Removed, cleaned_iptc
from defocusctl.photo.reframing import Area, Reframing, upright
from tests.photo import photo_files as files
from tests.photo.photo_files import rewritten

THUMBNAIL = files.pillow(files.scene(12, 20), "JPEG", quality=60)
HEADER = b"Exif\0\0"
KINDS = ["JPEG", "PNG", "WEBP", "AVIF"]
LETTERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I"}


def tag(code: int, kind: int, *numbers: int) -> TiffTag:
    return TiffTag(code, kind, len(numbers), struct.pack(f"<{len(numbers)}{LETTERS[kind]}", *numbers))


def block(*main: TiffTag, **subs: list[TiffTag]) -> bytes:
    pointers = {"exif": EXIF_IFD, "gps": GPS_IFD, "interop": INTEROP_IFD}
    return ifd.build("<", main, {pointers[name]: tags for name, tags in subs.items()})


CAMERA = block(TiffTag(271, 2, 7, b"Camera\0"), exif=[tag(40962, 4, 40)])


def with_second_directory(first: bytes, *tags: TiffTag, picture: bytes, offset_tag: int = 513) -> bytes:
    """The block with a second directory, its tags, and a picture that it points to."""
    _, link = ifd.read_directory(first, 8)
    base = len(first) + len(first) % 2
    length_tag = {513: 514, 273: 279}[offset_tag]

    def directory(offset: int) -> bytes:
        places = (tag(offset_tag, 4, offset), tag(length_tag, 4, len(picture)))
        return ifd.directory_bytes("<", [*tags, *places], {}, base)

    second = directory(base + len(directory(0)))
    linked = first[:link] + struct.pack("<I", base) + first[link + 4 :]
    return linked.ljust(base, b"\0") + second + picture


def file_with(kind: str, *, exif_block: bytes = b"", xmp: bytes = b"") -> bytes:
    options: dict[str, object] = {"exif": HEADER + exif_block} if exif_block else {}
    if xmp and kind == "PNG":
        return files.png(files.scene(), extra=files.png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    if xmp:
        options["xmp"] = xmp
    return files.pillow(files.scene(), kind, **options)


def packet(attributes: str = "", elements: str = "") -> bytes:
    spaces = {
        "xmp": "http://ns.adobe.com/xap/1.0/",
        "GCamera": "http://ns.google.com/photos/1.0/camera/",
        "Container": "http://ns.google.com/photos/1.0/container/",
        "vivo": "http://ns.vivo.com/photos/1.0/camera/",
        "photoshop": "http://ns.adobe.com/photoshop/1.0/",
        "dcterms": "http://purl.org/dc/terms/",
        "aas": "http://ns.apple.com/adjustment-settings/1.0/",
        "GDepth": "http://ns.google.com/photos/1.0/depthmap/",
        "GPano": "http://ns.google.com/photos/1.0/panorama/",
        "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
        "exif": "http://ns.adobe.com/exif/1.0/",
        "tiff": "http://ns.adobe.com/tiff/1.0/",
        "crs": "http://ns.adobe.com/camera-raw-settings/1.0/",
        "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
        "stArea": "http://ns.adobe.com/xmp/sType/Area#",
        "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
        "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
        "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    }
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in spaces.items())
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {declared} {attributes}>{elements}</rdf:Description>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def xmp_of(photo: Photo) -> str:
    assert photo.metadata.xmp is not None
    return photo.metadata.xmp.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_no_preview_is_left_in_the_bytes_of_any_format(kind: str) -> None:
    raw = bytes(range(1, 200)) * 2
    for stored in (
        with_second_directory(CAMERA, tag(259, 3, 6), picture=THUMBNAIL),
        with_second_directory(CAMERA, tag(259, 3, 1), picture=raw, offset_tag=273),
        CAMERA + THUMBNAIL,  # left behind by a program that only unlinked it
        CAMERA + b"\0\0" + THUMBNAIL[:-30],  # and partly overwritten
        block(exif=[TiffTag(37500, 7, len(THUMBNAIL) + 20, b"Maker note" + THUMBNAIL + b"kept notes")]),
    ):
        photo = read_photo(file_with(kind, exif_block=stored))
        written = rewritten(cropped(photo, Box(0, 0, 12, 20)))
        assert THUMBNAIL[100:140] not in written and raw[:100] not in written
        if b"Maker note" in stored:
            assert b"kept notes" in written
        assert photo.metadata.exif is not None
        assert kind == "AVIF" or len(photo.metadata.exif) == len(stored)  # Pillow lays it out anew


def test_a_directory_that_shares_the_values_of_the_first_costs_it_nothing() -> None:
    first = block(TiffTag(271, 2, 7, b"Camera\0"), exif=[tag(40962, 4, 40)])
    _, link = ifd.read_directory(first, 8)
    looped = first[:link] + struct.pack("<I", 8) + first[link + 4 :]
    assert exif_embedded.without_previews(looped) == (first, [])


def test_photoshop_resources_lose_their_previews_only() -> None:
    def resource(number: int, data: bytes) -> bytes:
        return b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + bytes(len(data) % 2)

    kept = [resource(0x0404, b"\x1c\x02\x78\0\5words"), resource(0x07D0, b"path" * 6)]
    resources = kept[0] + resource(0x040C, bytes(28) + THUMBNAIL) + resource(0x0409, b"pixels") + kept[1]
    head = b"Photoshop 3.0\0"
    plain = files.pillow(files.scene(), "JPEG")
    parts = [head + resources[:200], head + resources[200:]]
    segments = b"".join(b"\xff\xed" + struct.pack(">H", len(part) + 2) + part for part in parts)
    tagged = files.tiff(
        files.scene(), photometric="rgb", extratags=[(34377, 7, len(resources), resources, True)]
    )
    for data in (plain[:2] + segments + plain[2:], tagged):
        photo = read_photo(data)
        assert photo.warnings == ()
        written = rewritten(photo)
        assert kept[0] + kept[1] in written
        assert THUMBNAIL[100:140] not in written and b"pixels" not in written
        part = cropped(photo, Box(0, 0, 12, 20))
        assert part.warnings == ("left out, because the picture is cropped: Photoshop paths",)
        assert kept[0] in rewritten(part) and kept[1] not in rewritten(part)


def photoshop(number: int, data: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + bytes(len(data) % 2)


KEPT, PATHS, PREVIEW = (
    photoshop(0x0404, b"\x1c\x02\x78\0\5words"),
    photoshop(0x07D0, b"path" * 6),
    photoshop(0x040C, bytes(28) + THUMBNAIL),
)


def iptc(*numbers: int) -> bytes:
    """IPTC data of record 2: a preview in 202, in the long form, and words in all others."""
    long = b"\x1c\2\xca\x80\4" + struct.pack(">I", len(THUMBNAIL)) + THUMBNAIL
    return b"".join(long if n == 202 else bytes((0x1C, 2, n)) + b"\0\5words" for n in numbers)


def test_iptc_data_lose_their_preview_only() -> None:
    stored, kept = iptc(5, 200, 201, 202, 120), iptc(5, 120)
    part = b"Photoshop 3.0\0" + photoshop(0x0404, stored) + PATHS
    plain = files.pillow(files.scene(), "JPEG")
    jpeg = plain[:2] + b"\xff\xed" + struct.pack(">H", len(part) + 2) + part + plain[2:]
    written = rewritten(read_photo(jpeg))
    assert photoshop(0x0404, kept) + PATHS in written and THUMBNAIL[100:140] not in written
    padded = stored + bytes(-len(stored) % 4)
    for tag_of in ((33723, 7, len(stored), stored, True), (33723, 4, len(padded) // 4, padded, True)):
        photo = read_photo(files.tiff(files.scene(), photometric="rgb", extratags=[tag_of]))
        written = rewritten(photo)
        assert kept in written and THUMBNAIL[100:140] not in written and photo.warnings == ()
    text = b"\niptc\n%8d\n%s\n" % (len(stored), stored.hex().encode())
    png = files.png(files.scene(), extra=files.png_chunk(b"tEXt", b"Raw profile type iptc\0" + text))
    assert THUMBNAIL[100:140].hex().encode() not in rewritten(read_photo(png))
    for broken in (stored[:-3], stored[:60], stored + b"rest", b"\x1c\2\xca\xff\xff" + stored):
        assert len(cleaned_iptc(broken, None, Removed())) <= len(broken)


def test_the_orientation_in_iptc_data_goes_with_the_photos_sides() -> None:
    tag = (33723, 7, 10, iptc(131), True)
    photo = read_photo(files.tiff(files.scene(), photometric="rgb", extratags=[tag]))
    assert photo.warnings == () and iptc(131) in rewritten(photo)
    part = cropped(photo, Box(0, 0, 20, 12))
    assert part.warnings == ("left out, because the picture is cropped: IPTC's orientation",)
    assert iptc(131) not in rewritten(part)


@pytest.mark.parametrize("kind", [b"8bim", b"iptc"])
@pytest.mark.parametrize("chunk", [b"tEXt", b"zTXt"])
def test_photoshop_resources_in_a_raw_profile_lose_their_previews(kind: bytes, chunk: bytes) -> None:
    def profile(resources: bytes) -> bytes:
        text = b"\n%s\n%8d\n%s\n" % (kind, len(resources), resources.hex().encode())
        stored = b"\0" + zlib.compress(text) if chunk == b"zTXt" else text
        return files.png(
            files.scene(), extra=files.png_chunk(chunk, b"Raw profile type " + kind + b"\0" + stored)
        )

    def found(data: bytes) -> bytes:
        start = data.index(b"Raw profile type " + kind) + len(b"Raw profile type 8bim\0\0")
        return bytes.fromhex(zlib.decompressobj().decompress(data[start:]).split()[2].decode())

    photo = read_photo(profile(KEPT + PREVIEW + PATHS))
    assert photo.warnings == () and found(rewritten(photo)) == KEPT + PATHS
    part = cropped(photo, Box(0, 0, 12, 20))
    assert part.warnings == ("left out, because the picture is cropped: Photoshop paths",)
    assert found(rewritten(part)) == KEPT
    assert b"Raw profile" not in rewritten(read_photo(profile(PREVIEW)))
    untouched = profile(b"\x1c\x02\x78\0\5words")
    assert read_photo(untouched).warnings == () and kind in rewritten(read_photo(untouched))
    broken = read_photo(profile(b"nonsense"))
    assert broken.warnings == ("left out: broken Photoshop data",) and b"Raw" not in rewritten(broken)


@pytest.mark.parametrize("kind", KINDS)
def test_xmp_and_photoshop_data_within_exif_are_edited(kind: str) -> None:
    previews = "<xmp:Thumbnails><rdf:Alt><rdf:li>/9j/4AAQ</rdf:li></rdf:Alt></xmp:Thumbnails>"
    inner = packet('xmp:Rating="5"', previews)
    resources = PREVIEW + KEPT + PATHS
    copies = TiffTag(700, 1, len(inner), inner), TiffTag(34377, 7, len(resources), resources)
    photo = read_photo(file_with(kind, exif_block=block(*copies)))
    assert photo.warnings == () and photo.metadata.exif is not None
    assert b"Thumbnails" not in photo.metadata.exif and THUMBNAIL[100:140] not in photo.metadata.exif
    assert KEPT + PATHS in photo.metadata.exif and "rating" in xmp_of(photo).lower()
    part = cropped(photo, Box(0, 0, 12, 20))
    assert part.warnings == ("left out, because the picture is cropped: Photoshop paths",)
    assert part.metadata.exif is not None and PATHS not in part.metadata.exif and KEPT in part.metadata.exif


def test_the_sizes_of_a_pixel_turn_with_the_picture() -> None:
    data = files.png(files.scene(), extra=files.png_chunk(b"sCAL", b"\x010.5\x000.25"))
    turned = data[:33] + files.png_chunk(b"eXIf", files.exif_block(6)) + data[33:]
    assert files.png_chunk(b"sCAL", b"\x010.25\x000.5") in rewritten(read_photo(turned))


REFERENCES = {
    'GCamera:MicroVideo="1" GCamera:MicroVideoOffset="4000"': "video",
    'GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1"': "video",
    'vivo:MotionPhoto="1" vivo:MotionPhotoVersion="1"': "video",
    'dcterms:provenance="self#jumbf=/c2pa/x"': "Content Credentials",
    '<dcterms:provenance rdf:resource="https://example.org/manifest.c2pa"/>': "Content Credentials",
    "<photoshop:TextLayers><rdf:Bag><rdf:li>words</rdf:li></rdf:Bag></photoshop:TextLayers>": "text layers",
    'hdrgm:Version="1.0" hdrgm:GainMapMax="2"': "gain map",
    'GDepth:Format="RangeInverse" GDepth:Mime="image/png"': "depth map",
    "<Container:Directory><rdf:Seq><rdf:li>item</rdf:li></rdf:Seq></Container:Directory>": "Container",
    "<xmp:Thumbnails><rdf:Alt><rdf:li>/9j/4AAQ</rdf:li></rdf:Alt></xmp:Thumbnails>": "",
    '<xmpGImg:image xmlns:xmpGImg="http://ns.adobe.com/xap/1.0/g/img/">/9j/4AAQ</xmpGImg:image>': "",
    'xmlns:xmpGImg="http://ns.adobe.com/xap/1.0/g/img/" xmpGImg:image="/9j/4AAQ"': "",
}


@pytest.mark.parametrize("claim", REFERENCES)
@pytest.mark.parametrize("kind", KINDS)
def test_claims_about_what_is_not_written_are_taken_out(kind: str, claim: str) -> None:
    attributes, elements = ("", claim) if claim.startswith("<") else (claim, "")
    stored = packet('xmp:Rating="4" GCamera:BurstID="7" ' + attributes, elements)
    photo = read_photo(file_with(kind, xmp=stored))
    words = xmp_of(photo)
    name = (
        "xmpGImg:image" if "xmpGImg" in claim else claim.strip("<").split("=")[0].split(">")[0].split(" ")[0]
    )
    assert name not in words and 'xmp:Rating="4"' in words and 'GCamera:BurstID="7"' in words
    assert (REFERENCES[claim] in "".join(photo.warnings)) if REFERENCES[claim] else photo.warnings == ()
    assert name.encode() not in rewritten(photo)


def test_provenance_in_plain_words_stays() -> None:
    words = 'dcterms:provenance="Estate of A. Smith, 1931"'
    photo = read_photo(file_with("PNG", xmp=packet(words)))
    assert words in xmp_of(photo) and photo.warnings == ()


@pytest.mark.parametrize("orientation", [3, 6])
def test_xmp_resolutions_swap_and_the_crop_of_apple_goes_when_turned(orientation: int) -> None:
    sides = 'tiff:XResolution="72/1" tiff:YResolution="300/1" exif:FocalPlaneXResolution="7"'
    element = "<exif:FocalPlaneYResolution>9</exif:FocalPlaneYResolution>"
    turned = f'tiff:Orientation="{orientation}" aas:CropX="3" aas:CropW="9" aas:Vibrance="2" ' + sides
    photo = read_photo(file_with("PNG", xmp=packet(turned, element)))
    assert photo.warnings == ("left out, because the picture is rotated: the crop in Apple's adjustments",)
    words = xmp_of(photo)
    assert "aas:Crop" not in words and 'aas:Vibrance="2"' in words
    if orientation == 6:
        sides = 'tiff:XResolution="300/1" tiff:YResolution="72/1" exif:FocalPlaneXResolution="9"'
        element = element.replace("9", "7")
    assert sides in words and element in words


@pytest.mark.parametrize("orientation", range(1, 9))
def test_points_go_where_their_pixels_go(orientation: int) -> None:
    stored = np.zeros((6, 10, 1), np.uint8)
    stored[1, 3] = 255
    turned = upright(stored, orientation)
    turning = Reframing.rotation(Size(*turned.shape[:2]), orientation)
    assert turning.before == (6, 10)
    (row,), (column,) = np.nonzero(turned[:, :, 0])
    assert turning.point(3.5, 1.5) == (column + 0.5, row + 0.5)
    area = turning.area(Area(3.5, 1.5, 4, 2))
    assert area is not None
    assert (area.width, area.height) == ((2, 4) if orientation >= 5 else (4, 2))


def faces(x: float, y: float, w: float, h: float) -> str:
    return (
        '<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:AppliedToDimensions stDim:w="40" stDim:h="24"/>'
        f'<mwg-rs:RegionList><rdf:Bag><rdf:li><rdf:Description mwg-rs:Name="Ann"><mwg-rs:Area stArea:x="{x}" '
        f'stArea:y="{y}" stArea:w="{w}" stArea:h="{h}" stArea:unit="normalized"/></rdf:Description></rdf:li>'
        '<rdf:li rdf:parseType="Resource"><mwg-rs:Name>Bea</mwg-rs:Name>'
        '<mwg-rs:Area rdf:parseType="Resource">'
        "<stArea:x>0.9</stArea:x><stArea:y>0.9</stArea:y></mwg-rs:Area></rdf:li></rdf:Bag></mwg-rs:RegionList>"
        f"</mwg-rs:Regions><MPReg:Rectangle>{x - w / 2}, {y - h / 2}, {w}, {h}</MPReg:Rectangle>"
        '<Iptc4xmpExt:RegionBoundary Iptc4xmpExt:rbShape="rectangle" Iptc4xmpExt:rbUnit="relative" '
        f'Iptc4xmpExt:rbX="{x - w / 2}" Iptc4xmpExt:rbY="{y - h / 2}" '
        f'Iptc4xmpExt:rbW="{w}" Iptc4xmpExt:rbH="{h}"/>'
        "<exif:SubjectArea><rdf:Seq><rdf:li>10</rdf:li><rdf:li>6</rdf:li><rdf:li>4</rdf:li></rdf:Seq>"
        "</exif:SubjectArea>"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_faces_and_subject_follow_turning_and_cutting(kind: str) -> None:
    upright_words = xmp_of(read_photo(file_with(kind, xmp=packet("", faces(0.25, 0.25, 0.2, 0.1)))))
    assert 'stArea:x="0.25"' in upright_words and "<rdf:li>10</rdf:li>" in upright_words
    stored = packet('tiff:Orientation="6" exif:PixelXDimension="40"', faces(0.25, 0.25, 0.2, 0.1))
    photo = read_photo(file_with(kind, xmp=stored))
    assert photo.size == (40, 24) and photo.warnings == ()
    words = xmp_of(photo)
    assert 'stArea:x="0.75" stArea:y="0.25" stArea:w="0.1" stArea:h="0.2"' in words
    assert "<stArea:x>0.1</stArea:x><stArea:y>0.9</stArea:y>" in words
    assert 'stDim:w="24" stDim:h="40"' in words
    assert "<MPReg:Rectangle>0.7, 0.15, 0.1, 0.2</MPReg:Rectangle>" in words
    assert 'rbX="0.7" Iptc4xmpExt:rbY="0.15" Iptc4xmpExt:rbW="0.1" Iptc4xmpExt:rbH="0.2"' in words
    assert "<rdf:li>18</rdf:li><rdf:li>10</rdf:li><rdf:li>4</rdf:li>" in words
    part = cropped(photo, Box(0, 12, 20, 24))  # the upper right half in both directions
    words = xmp_of(part)
    assert part.warnings == ("left out, because the picture is cropped: marked regions (faces and the like)",)
    assert 'stArea:x="0.5" stArea:y="0.5" stArea:w="0.2" stArea:h="0.4"' in words and "Bea" not in words
    assert 'stDim:w="12" stDim:h="20"' in words and "<rdf:li>6</rdf:li><rdf:li>10</rdf:li>" in words
    assert b'exif:PixelXDimension="12"' in rewritten(part)


def test_what_cannot_follow_is_taken_out_with_a_warning() -> None:
    words = 'GPano:FullPanoWidthPixels="80" crs:CropTop="0.1" crs:HasCrop="True" crs:Exposure2012="0.5"'
    photo = read_photo(file_with("JPEG", xmp=packet(words)))
    assert photo.warnings == () and "GPano" in xmp_of(photo) and "crs:CropTop" in xmp_of(photo)
    part = cropped(photo, Box(0, 0, 12, 20))
    assert part.warnings == (
        "left out, because the picture is cropped: the geometry of a panorama, Camera Raw's crop and masks",
    )
    kept = xmp_of(part).partition("rdf:about")[2]
    assert "FullPano" not in kept and "Crop" not in kept and 'crs:Exposure2012="0.5"' in kept


@pytest.mark.parametrize("kind", [3, 4, 9])
def test_exif_subject_follows(kind: int) -> None:
    stored = block(tag(274, 3, 6), exif=[tag(37396, kind, 10, 6, 4, 2), tag(41492, kind, 30, 20)])
    photo = read_photo(file_with("JPEG", exif_block=stored))
    found = {e.tag.code: ifd.integers(e.tag, "<") for e in details(photo)}
    assert found == {37396: [18, 10, 2, 4], 41492: [4, 30]}
    part = cropped(photo, Box(0, 12, 20, 24))
    assert {e.tag.code: ifd.integers(e.tag, "<") for e in details(part)} == {37396: [6, 10, 2, 4]}
    assert part.warnings == ("left out, because the picture is cropped: the subject's position",)


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_subject_and_crops_in_the_first_directory_follow(kind: str, orientation: int) -> None:
    def stored(*tags: TiffTag) -> bytes:
        if kind == "PNG":
            return file_with("PNG", exif_block=block(tag(274, 3, orientation), *tags))
        extra = [(each.code, each.kind, each.count, each.value, True) for each in tags]
        return files.tiff(
            files.scene(), photometric="rgb", extratags=[(274, 3, 1, orientation, True), *extra]
        )

    crop = "a crop of the raw picture (DNG tags)"
    photo = read_photo(stored(tag(37396, 3, 30, 6), tag(50719, 4, 2, 2), tag(50720, 4, 9, 9)))
    part = photo if orientation == 6 else cropped(photo, Box(4, 20, 16, 40))
    done = "rotated" if orientation == 6 else "cropped"
    assert part.warnings == (f"left out, because the picture is {done}: {crop}",)
    written = rewritten(part)
    read = read_photo(written).metadata
    tags = read.coding.tags if isinstance(read.coding, TiffCoding) else ()
    if kind == "PNG":
        assert read.exif is not None
        tags = tuple(entry.tag for entry in ifd.read_directory(read.exif, ifd.first_directory(read.exif))[0])
    found = {each.code: each.value for each in tags}
    assert found[37396] == (struct.pack("<HH", 18, 30) if orientation == 6 else struct.pack("<HH", 10, 2))
    assert not found.keys() & {50719, 50720}


STALE = ("exif:Orientation", "exif:PixelXDimension", "exif:SubjectArea", "Thumb::Image::Width")


def test_text_about_the_size_of_the_picture_goes() -> None:
    keywords = [*STALE, "png:IHDR.width,height", "exif:XResolution", "exif:Model"]
    texts = b"".join(files.png_chunk(b"tEXt", each.encode() + b"\x006") for each in keywords)
    note = "text about the picture's size and places"
    whole = read_photo(files.png(files.scene(), extra=texts))
    assert whole.warnings == () and all(each.encode() in rewritten(whole) for each in keywords)
    part = cropped(whole, Box(0, 0, 12, 20))
    assert part.warnings == (f"left out, because the picture is cropped: {note}",)
    turned = read_photo(files.png(files.scene(), extra=files.png_chunk(b"eXIf", files.exif_block(6)) + texts))
    assert turned.warnings == (f"left out, because the picture is rotated: {note}",)
    for photo, kept in ((part, keywords[-2:]), (turned, keywords[-1:])):
        written = rewritten(photo)
        assert [each for each in keywords if each.encode() + b"\x006" in written] == kept


def details(photo: Photo) -> list[ifd.Entry]:
    stored = photo.metadata.exif
    assert stored is not None
    return ifd.sub_directories(stored, ifd.read_directory(stored, 8)[0])[EXIF_IFD]


def test_the_place_on_the_page_goes() -> None:
    places = [(code, 5, 1, (3, 2), True) for code in (286, 287)]
    photo = read_photo(files.tiff(files.scene(), photometric="rgb", extratags=places))
    assert photo.warnings == ()
    part = cropped(photo, Box(4, 12, 10, 20))
    assert part.warnings == ("left out, because the picture is cropped: the page position",)
    with Image.open(io.BytesIO(rewritten(part))) as image:
        assert not {286, 287} & set(image.tag_v2)


def test_the_place_on_the_map_moves_with_the_corner() -> None:
    ties, scale = (0.0, 0.0, 0.0, 1000.0, 2000.0, 0.0), (2.0, 2.0, 0.0)
    matrix = (2.0, 0.0, 0.0, 1000.0, 0.0, -2.0, 0.0, 2000.0, *(0.0,) * 7, 1.0)

    def placed(code: int, numbers: tuple[float, ...], orientation: int = 1) -> Photo:
        extra = [(33550, 12, 3, scale, True), (code, 12, len(numbers), numbers, True)]
        extra += [(274, 3, 1, orientation, True)]
        return read_photo(files.tiff(files.scene(), photometric="rgb", extratags=extra))

    for code, numbers, expected in (
        (33922, ties, (-12.0, -4.0, *ties[2:])),
        (34264, matrix, (*matrix[:3], 1024.0, *matrix[4:7], 1992.0, *matrix[8:])),
    ):
        part = cropped(placed(code, numbers), Box(4, 12, 20, 24))
        assert part.warnings == ()
        with Image.open(io.BytesIO(rewritten(part))) as image:
            assert image.tag_v2[code] == expected and image.tag_v2[33550] == scale
    turned = placed(33922, ties, orientation=6)
    assert turned.warnings == ("left out, because the picture is rotated: the map position (GeoTIFF)",)
    with Image.open(io.BytesIO(rewritten(turned))) as image:
        assert not {33550, 33922} & set(image.tag_v2)


def test_ome_xml_of_another_frame_is_left_out() -> None:
    text = '<?xml version="1.0"?><OME><Image><Pixels SizeX="40" SizeY="24"/></Image></OME>'
    photo = read_photo(files.tiff(files.scene(), photometric="rgb", description=text))
    assert text.encode() in rewritten(photo)
    part = cropped(photo, Box(0, 0, 12, 20))
    assert part.warnings == ("left out, because the picture is cropped: OME-XML",)
    assert b"<OME" not in rewritten(part)


@pytest.mark.parametrize("kind", LETTERS)
def test_integers_of_any_type_are_read(kind: int) -> None:
    stored = block(tag(274, kind, 6), exif=[tag(40962, kind, 40), tag(40963, kind, 24)])
    entries, _ = ifd.read_directory(stored, 8)
    position = next(e.position for e in entries if e.tag.code == EXIF_IFD)
    (offset,) = struct.unpack_from("<I", stored, position + 8)
    pointer = struct.pack("<HHI", EXIF_IFD, kind, 1) + struct.pack("<" + LETTERS[kind], offset).ljust(
        4, b"\0"
    )
    stored = stored[:position] + pointer + stored[position + 12 :]
    photo = read_photo(file_with("JPEG", exif_block=stored))
    assert photo.size == (40, 24) and photo.warnings == ()
    assert {e.tag.code: ifd.integers(e.tag, "<") for e in details(photo)} == {
        40962: [24],
        40963: [40],
    }


@pytest.mark.parametrize("kind", LETTERS)
def test_the_orientation_of_a_tiff_may_be_any_integer(kind: int) -> None:
    data = bytearray(files.tiff(files.scene(), photometric="rgb", extratags=[(274, 3, 1, 6, True)]))
    entries, _ = ifd.read_directory(bytes(data), ifd.first_directory(bytes(data)))
    position = next(entry.position for entry in entries if entry.tag.code == 274)
    struct.pack_into(
        "<HHI4s", data, position, 274, kind, 1, struct.pack("<" + LETTERS[kind], 6).ljust(4, b"\0")
    )
    assert read_photo(bytes(data)).size == (40, 24)


def test_a_tiff_orientation_that_is_not_a_number_is_named() -> None:
    stored = files.tiff(files.scene(), photometric="rgb", extratags=[(274, 5, 1, (6, 1), True)])
    assert read_photo(stored).warnings == ("its orientation cannot be read",)


def test_what_cannot_be_read_is_not_overwritten(tmp_path: Path) -> None:
    orientation = TiffTag(274, 2, 2, b"6\0")
    photo = read_photo(file_with("JPEG", exif_block=block(orientation, tag(EXIF_IFD, 4, 10**6))))
    assert photo.size == (24, 40) and photo.metadata.exif is not None
    assert photo.warnings == (
        "the EXIF directory in its EXIF cannot be read",
        "the orientation in its EXIF cannot be read",
    )
    assert ifd.read_directory(photo.metadata.exif, 8)[0][0].tag == orientation


def test_interoperability_and_utf8_reach_a_tiff(tmp_path: Path) -> None:
    artist = TiffTag(42032, 129, 7, "Åsa".encode() + b"\0\0\0")
    stored = block(
        tag(274, 3, 1),
        exif=[artist, tag(40961, 3, 65535)],
        interop=[TiffTag(1, 2, 4, b"R03\0")],
        gps=[TiffTag(1, 2, 2, b"N\0")],
    )
    target = tmp_path / "out.tif"
    photo = read_photo(file_with("JPEG", exif_block=stored))
    for _ in range(2):  # JPEG to TIFF, TIFF to TIFF
        write_photo(photo, photo.pixels, target, provenance=files.PROVENANCE, force=True)
        photo = read_photo(target)
        assert photo.metadata.exif is not None and photo.warnings == ()
        data = photo.metadata.exif
        subs = ifd.sub_directories(data, ifd.read_directory(data, 8)[0])
        assert [entry.tag for entry in subs[INTEROP_IFD]] == [TiffTag(1, 2, 4, b"R03\0")]
        assert artist in [entry.tag for entry in subs[EXIF_IFD]]
        assert GPS_IFD in subs
    with Image.open(target) as image:
        assert image.getexif().get_ifd(INTEROP_IFD)[1] == "R03"


def test_entries_that_share_one_value_do_not_multiply_it() -> None:
    count, value = 3000, b"v" * 30000
    base = 8 + 2 + 12 * count + 4
    records = b"".join(struct.pack("<HHII", 40000 + n, 7, len(value), base) for n in range(count))
    stored = b"II*\0\x08\0\0\0" + struct.pack("<H", count) + records + bytes(4) + value
    entries, _ = ifd.read_directory(stored, 8)
    assert sum(len(entry.tag.value) for entry in entries) <= 2 * len(stored)


def marked(number: int, payload: bytes) -> bytes:
    return bytes((0xFF, number)) + struct.pack(">H", len(payload) + 2) + payload


def with_segment(number: int, payload: bytes) -> bytes:
    plain = files.pillow(files.scene(), "JPEG")
    return plain[:2] + marked(number, payload) + plain[2:]


@pytest.mark.parametrize("preview", [THUMBNAIL, THUMBNAIL[:-2], b"\xff\xd8\xff\xff" + THUMBNAIL[3:]])
def test_no_preview_is_left_in_what_is_carried_as_it_is(preview: bytes) -> None:
    seen = preview[100:140]
    note = block(exif=[TiffTag(37500, 7, len(preview) + 6, b"Nikon\0" + preview)])
    private = files.tiff(
        files.scene(), photometric="rgb", extratags=[(65000, 7, len(preview), preview, True)]
    )
    for data in (file_with("PNG", exif_block=note), private):
        photo = read_photo(data)
        assert photo.warnings == () and seen not in rewritten(photo)
    for number, start in (
        (0xE3, b"Meta\0\0"),
        (0xEC, b"Ducky\0"),
        (0xEC, b"Picture Info\0"),
        (0xED, b"Adobe_CM\0"),
        (0xFE, b""),
    ):
        photo = read_photo(with_segment(number, start + preview))
        (warning,) = photo.warnings
        assert warning.startswith("left out, because the result cannot carry it: a preview (")
        assert seen not in rewritten(photo)
        assert start + b"words" in rewritten(read_photo(with_segment(number, start + b"words")))


def test_no_part_of_a_preview_that_is_split_over_segments_is_left() -> None:
    third = len(THUMBNAIL) // 3
    parts = (b"Picture Info\0" + THUMBNAIL[:third], THUMBNAIL[third : 2 * third], THUMBNAIL[2 * third :])
    plain = files.pillow(files.scene(), "JPEG")
    words = marked(0xEC, b"Ducky words")
    middle = words + b"".join(marked(0xEC, part) for part in parts) + words + marked(0xFE, b"a comment")
    photo = read_photo(plain[:2] + middle + plain[2:])
    (warning,) = photo.warnings
    assert warning == "left out, because the result cannot carry it: a preview (APP12)"
    written = rewritten(photo)
    assert written.count(b"Ducky words") == 2 and b"a comment" in written
    assert b"Picture Info" not in written and parts[2][-40:] not in written
    assert marked(0xEC, parts[1]) not in written


def test_bytes_that_start_like_a_jpeg_by_chance_are_kept() -> None:
    numbers = struct.pack("<8h", -5, -40, -1, -20, 7, -40, -1, 3) + b"\xff\xd8\xff\xe1" + bytes(range(40))
    stored = block(exif=[TiffTag(37500, 7, len(numbers), numbers)])
    assert exif_embedded.without_previews(stored) == (stored, [])


@pytest.mark.parametrize("head", [b"Photoshop 3.0\0", b"Adobe_Photoshop2.5:\0"])
@pytest.mark.parametrize("number", [0x0409, 0x040C, 0x0FA0])
def test_photoshop_resources_of_all_ages_lose_their_previews(head: bytes, number: int) -> None:
    photo = read_photo(with_segment(0xED, head + KEPT + photoshop(number, bytes(28) + THUMBNAIL) + PATHS))
    written = rewritten(photo)
    assert photo.warnings == () and head + KEPT in written and PATHS in written
    assert THUMBNAIL[100:140] not in written


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_of_an_exif_block_that_no_tag_refers_to_are_not_carried(kind: str) -> None:
    strip = files.scene(24, 32).tobytes()
    base = len(CAMERA) + 100
    directory = ifd.directory_bytes("<", [tag(273, 4, base + 60), tag(279, 4, len(strip))], {}, base)
    sub = block(
        TiffTag(271, 2, 7, b"Camera\0"), tag(330, 4, base), tag(273, 4, base), exif=[tag(40962, 4, 40)]
    )
    for stored in (CAMERA + strip, sub.ljust(base, b"\0") + directory.ljust(60, b"\0") + strip):
        photo = cropped(read_photo(file_with(kind, exif_block=stored)), Box(0, 0, 12, 20))
        written = rewritten(photo)
        assert strip[100:140] not in written and b"Camera\0" in written
        assert photo.metadata.exif is not None
        entries, _ = ifd.read_directory(photo.metadata.exif, 8)
        assert not {330, 273} & {entry.tag.code for entry in entries}


@pytest.mark.parametrize(
    "preview",
    [
        '<g:image rdf:parseType="Resource"><rdf:value>{}</rdf:value></g:image>',
        '<rdf:Description g:image="{}"/>',
        "<g:image><rdf:Description><rdf:value>{}</rdf:value></rdf:Description></g:image>",
        "<g:other>\n{}</g:other>",
    ],
)
def test_previews_in_xmp_go_however_they_are_written(preview: str) -> None:
    encoded = base64.b64encode(THUMBNAIL).decode()
    pages = (
        '<xmp:PageInfo xmlns:g="http://ns.adobe.com/xap/1.0/g/img/"><rdf:Seq><rdf:li>'
        f"{preview.format(encoded)}</rdf:li></rdf:Seq></xmp:PageInfo>"
    )
    written = xmp_of(read_photo(file_with("PNG", xmp=packet('xmp:Rating="5"', pages))))
    assert "/9j/" not in written and 'xmp:Rating="5"' in written
