"""XMP that is longer than a JPEG segment: nothing of the user's is lost on the way in or out."""

import hashlib
import io
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from defocusctl.photo import conversion_warnings, read_photo, write_photo
from defocusctl.photo.formats.jpeg_segments import read_layout
from defocusctl.photo.xmp import has_provenance
from tests.photo import photo_files as files

LIMIT = 65533 - 29
MAIN, EXTENSION = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
TITLE = "{http://ns.adobe.com/photoshop/1.0/}Headline"
SECRET = "{http://ns.adobe.com/photoshop/1.0/}History"
PROVENANCE_NAME = "{urn:defocusctl:1.0#}software"
RATING = "{http://ns.adobe.com/xap/1.0/}Rating"


def packet(length: int, note: str = "") -> bytes:
    """A packet of this many bytes: a rating, a headline, and a history that fills it up."""
    head = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:ps="http://ns.adobe.com/photoshop/1.0/">'
        '<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><r:Description r:about="" '
        f'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"{note}><ps:Headline>A day</ps:Headline>'
        "<ps:History>"
    )
    tail = "</ps:History></r:Description></r:RDF></x:xmpmeta>"
    return f"{head}{'h' * (length - len(head) - len(tail))}{tail}".encode()


def jpeg_with(*payloads: bytes) -> bytes:
    plain = files.pillow(files.scene(), "JPEG")
    segments = [b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload for payload in payloads]
    return plain[:2] + b"".join(segments) + plain[2:]


def written(data: bytes, tmp_path: Path) -> bytes:
    photo = read_photo(data)
    target = tmp_path / "out.jpg"
    write_photo(photo, photo.pixels, target, provenance=files.PROVENANCE, force=True)
    return target.read_bytes()


def properties(text: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for element in ElementTree.fromstring(text).iter():
        pairs = {**element.attrib, **({element.tag: element.text} if element.text else {})}
        for name, value in pairs.items():
            assert name not in found or "rdf-syntax" in name, "a property stands twice"
            found[name] = value
    return found


def packets(data: bytes) -> tuple[bytes, bytes]:
    """The main packet of a JPEG and the extended one, put together as the specification says."""
    payloads = [payload for marker, payload in read_layout(data).segments if marker == 0xE1]
    main = next(payload[len(MAIN) :] for payload in payloads if payload.startswith(MAIN))
    extended = b""
    for payload in (payload for payload in payloads if payload.startswith(EXTENSION)):
        content = payload[len(EXTENSION) :]
        assert content[:32] in main and len(extended) == struct.unpack_from(">I", content, 36)[0]
        extended += content[40:]
    if extended:
        assert hashlib.md5(extended).hexdigest().upper().encode() in main
    return main, extended


@pytest.mark.parametrize("length", [LIMIT - 1200, LIMIT - 300, LIMIT - 100, LIMIT, 2 * LIMIT, 400_000])
def test_a_packet_of_any_length_keeps_its_properties_in_a_jpeg(length: int, tmp_path: Path) -> None:
    source = files.png(
        files.scene(), extra=files.png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet(length))
    )
    data = written(source, tmp_path)
    main, _ = packets(data)
    assert properties(main)[RATING] == "5" and properties(main)[TITLE] == "A day"
    assert (SECRET in properties(main)) == (length <= LIMIT)
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["xmp"].rstrip(b"\0") == main
    photo = read_photo(data)
    assert photo.warnings == () and photo.metadata.xmp is not None
    kept = properties(photo.metadata.xmp)
    before = properties(packet(length))
    assert {name: kept[name] for name in (RATING, TITLE, SECRET)} == {
        n: before[n] for n in (RATING, TITLE, SECRET)
    }
    assert not any("HasExtendedXMP" in name for name in kept)
    warned = conversion_warnings(read_photo(source), Path("out.jpg"))
    assert has_provenance(photo.metadata.xmp) == (warned == ())
    assert (warned == ()) == (length not in (LIMIT - 100, LIMIT)), (
        "there is no room then for where it came from"
    )
    again = read_photo(written(data, tmp_path)).metadata.xmp
    assert again is not None and properties(again) == kept and len(again) <= len(photo.metadata.xmp) + 500
    third = read_photo(written(written(data, tmp_path), tmp_path)).metadata.xmp
    assert third is not None and len(third) == len(again), "nothing piles up"


def extended_parts(content: bytes, step: int) -> list[bytes]:
    head = EXTENSION + hashlib.md5(content).hexdigest().upper().encode()
    return [
        head + struct.pack(">II", len(content), start) + content[start : start + step]
        for start in range(0, len(content), step)
    ]


def test_extended_xmp_is_read_and_reaches_other_formats(tmp_path: Path) -> None:
    extended = packet(150_000).replace(b' xmp:Rating="5"', b"")
    name = hashlib.md5(extended).hexdigest().upper()
    note = f' xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="{name}" xmp:Label="Red"'
    main = packet(1000, note).replace(b"ps:History", b"ps:City")
    parts = extended_parts(extended, 60_000)
    photo = read_photo(jpeg_with(MAIN + main, parts[2], parts[0], parts[1]))
    assert photo.warnings == () and photo.metadata.xmp is not None
    found = properties(photo.metadata.xmp)
    assert found["{http://ns.adobe.com/xap/1.0/}Label"] == "Red" and found[TITLE] == "A day"
    assert found[SECRET] == properties(extended)[SECRET]
    assert conversion_warnings(photo, tmp_path / "out.png") == ()
    for incomplete in (parts[:2], parts[1:], [*parts[:2], parts[2][:-1]]):
        photo = read_photo(jpeg_with(MAIN + main, *incomplete))
        assert photo.warnings == ("broken extended XMP left out",)
        assert photo.metadata.xmp is not None and properties(photo.metadata.xmp)[TITLE] == "A day"
    assert read_photo(jpeg_with(*parts)).warnings == ("broken extended XMP left out",)
    misnamed = [part.replace(name.encode(), b"0" * 32) for part in parts]
    photo = read_photo(jpeg_with(MAIN + main.replace(name.encode(), b"0" * 32), *misnamed))
    assert photo.warnings == ("the checksum of its extended XMP does not match",)
    assert photo.metadata.xmp is not None and properties(photo.metadata.xmp)[TITLE] == "A day"


@pytest.mark.slow
@pytest.mark.timeout(30)
def test_many_descriptions_in_the_scope_of_many_namespaces_do_not_multiply(tmp_path: Path) -> None:
    """4,000 of each: 200 MB of namespaces if every Description repeated them."""
    count = 4000
    scope = b"".join(b' xmlns:n%d="urn:n%d#"' % (number, number) for number in range(count))
    inside = b"".join(
        b'<rdf:Description rdf:about=""><n%d:a>x</n%d:a></rdf:Description>' % (number, number)
        for number in range(count)
    )
    rdf = b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"%s>%s</rdf:RDF>' % (scope, inside)
    data = files.png(files.scene(), extra=files.png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + rdf))
    written_once = written(data, tmp_path)
    assert len(written_once) < 3 * len(rdf)
    photo = read_photo(written_once)
    assert photo.warnings == () and photo.metadata.xmp is not None
    assert len(photo.metadata.xmp) < 3 * len(rdf)
    kept = properties(photo.metadata.xmp)
    assert all(kept[f"{{urn:n{number}#}}a"] == "x" for number in range(count)) and PROVENANCE_NAME in kept


@pytest.mark.timeout(30)
def test_a_long_namespace_that_many_descriptions_use_does_not_multiply() -> None:
    count, uri = 500, "urn:" + "n" * 40_000
    inside = b'<rdf:Description rdf:about=""><n:a>x</n:a></rdf:Description>' * count
    scope = f' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:n="{uri}"'.encode()
    extended = b"<rdf:RDF" + scope + b">" + inside + b"</rdf:RDF>"
    name = hashlib.md5(extended).hexdigest().upper()
    main = packet(1000, f' xmlns:note="http://ns.adobe.com/xmp/note/" note:HasExtendedXMP="{name}"')
    photo = read_photo(jpeg_with(MAIN + main, *extended_parts(extended, 60_000)))
    assert photo.warnings == ("extended XMP left out: it is longer than 16 MiB",)
