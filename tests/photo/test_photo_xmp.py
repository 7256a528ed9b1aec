"""Provenance in XMP: added without touching the rest, replaced when it is there already."""

import re
from xml.etree import ElementTree

import pytest

from defocusctl.photo import Provenance
from defocusctl.photo.xmp import NAMESPACE, add_provenance, normalise
from defocusctl.photo.xmp_packet import BrokenXmpError, Packet
from tests.photo.photo_files import PROVENANCE, XMP


def properties(packet: bytes) -> dict[str, str]:
    """All properties of this program in the packet, by an independent parser."""
    found: dict[str, str] = {}
    for element in ElementTree.fromstring(packet).iter():
        for name, value in element.attrib.items():
            if name.startswith(f"{{{NAMESPACE}}}"):
                assert name not in found
                found[name.split("}")[1]] = value
    return found


@pytest.mark.parametrize("packet", [None, XMP])
def test_every_setting_is_recorded(packet: bytes | None) -> None:
    recorded = properties(add_provenance(packet, PROVENANCE))
    expected = {"software": PROVENANCE.software, **{k: str(v) for k, v in PROVENANCE.settings.items()}}
    assert recorded == expected


def test_the_rest_stays_byte_for_byte() -> None:
    merged = add_provenance(XMP, PROVENANCE)
    removed = re.sub(rb"<rdf:Description [^<>]*xmlns:defocusctl[^<>]*/>", b"", merged)
    assert re.sub(rb"\s+<\?xpacket end", b"<?xpacket end", removed) == re.sub(
        rb"\s+<\?xpacket end", b"<?xpacket end", XMP
    )


def test_a_second_run_replaces_the_first() -> None:
    once = add_provenance(XMP, PROVENANCE)
    again = add_provenance(once, Provenance("defocusctl 9", {"model": "nrknet"}))
    assert properties(again) == {"software": "defocusctl 9", "model": "nrknet"}
    assert add_provenance(again, PROVENANCE) == once
    as_elements = once.replace(b' defocusctl:model="iniknet"', b"").replace(
        b"<dc:subject>",
        b'<defocusctl:model xmlns:defocusctl="urn:defocusctl:1.0#">iniknet</defocusctl:model><dc:subject>',
    )
    assert b"<defocusctl:model" not in add_provenance(as_elements, PROVENANCE)


def test_names_and_values_are_made_fit_for_xml() -> None:
    packet = add_provenance(None, Provenance('a "quoted" <tool> & more\0', {"2 of 3": 1, "größe": 0.5}))
    expected = {
        "software": 'a "quoted" <tool> & more\ufffd',
        "_2_of_3": "1",
        "gr__e": "0.5",
    }
    assert properties(packet) == expected


def test_foreign_prefixes_and_encodings() -> None:
    packet = XMP.replace(b"rdf:", b"r:").replace(b"xmlns:rdf", b"xmlns:r").replace(b"tiff:", b"t:")
    packet = packet.replace(b"xmlns:tiff", b"xmlns:t").replace(b't:Orientation="1"', b"t:Orientation='6'")
    parsed = Packet(packet)
    orientation, normal = normalise(parsed), parsed.edited()
    assert orientation == 6 and b"t:Orientation='1'" in normal
    assert properties(add_provenance(normal, PROVENANCE))["model"] == "iniknet"
    element = XMP.replace(b'tiff:Orientation="1" ', b"").replace(
        b"<dc:subject>", b"<tiff:Orientation>3</tiff:Orientation><dc:subject>"
    )
    assert normalise(Packet(element)) == 3


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("declaration", ["", '<?xml version="1.0" encoding="UTF-16"?>\n'])
def test_wide_encodings_are_read_with_and_without_a_mark(encoding: str, declaration: str) -> None:
    packet = XMP.replace(b'Orientation="1"', b'Orientation="6"').decode().lstrip("\ufeff")
    parsed = Packet((declaration + packet).encode(encoding) + bytes(4))
    assert normalise(parsed) == 6
    assert properties(add_provenance(parsed.edited(), PROVENANCE))["model"] == "iniknet"


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"text",
        b"<a/>",
        XMP[:-60],
        b'<!DOCTYPE a [<!ENTITY b "c">]>' + XMP,
        b"\xff\xfe\0",
        XMP.replace(b"</", b"<"),
    ],
)
def test_broken_packets_are_recognised(packet: bytes) -> None:
    with pytest.raises(BrokenXmpError):
        Packet(packet)


MERGED = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b"<rdf:Description rdf:about='' xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmlns:d=\"urn:defocusctl:1.0#\" "
    b'xmp:Rating="5"  d:software="old" xmp:Label=\'Red &#10; "x"\' d:model="old"><d:tile>old</d:tile>'
    b"<xmp:Nickname>kept</xmp:Nickname></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def test_what_another_program_merged_with_our_properties_stays() -> None:
    """As exiv2 writes it: all properties on one Description, whatever the prefixes and quotes."""
    again = add_provenance(MERGED, PROVENANCE)
    assert properties(again)["software"] == PROVENANCE.software and b"old" not in again
    (kept,) = re.findall(rb"<rdf:Description rdf:about=''.*?</rdf:Description>", again)
    assert kept == (
        b"<rdf:Description rdf:about='' xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmp:Rating=\"5\" "
        b"xmp:Label='Red &#10; \"x\"'><xmp:Nickname>kept</xmp:Nickname></rdf:Description>"
    )
    assert add_provenance(again, PROVENANCE) == again


def test_an_empty_packet_is_filled() -> None:
    closed = re.sub(rb"<rdf:Description.*</rdf:RDF>", b"", MERGED).replace(b'ns#">', b'ns#" />')
    assert properties(add_provenance(closed, PROVENANCE))["model"] == "iniknet"


def test_padding_is_dropped_however_long_it_is() -> None:
    """Half a megabyte of blanks before something else than the end took hours with a regular expression."""
    blanks = b" " * 2**19
    padded = XMP.replace(b"<?xpacket end", blanks + b"<?xpacket end").replace(
        b"moth", b"moth" + blanks + b"<!-- -->"
    )
    packet = add_provenance(padded, PROVENANCE)
    assert len(blanks) < len(packet) < len(blanks) + 2000 and properties(packet)["model"] == "iniknet"


@pytest.mark.parametrize("inside", [b'<dc:title >x="foo"</dc:title>', b"<dc:title\n>y = 'foo'</dc:title>"])
def test_text_that_looks_like_an_attribute_is_text(inside: bytes) -> None:
    packet = XMP.replace(b"<dc:subject>", inside + b"<dc:subject>")
    assert inside in add_provenance(packet, PROVENANCE)


def test_a_default_namespace_may_be_taken_back() -> None:
    inside = b'<thing xmlns="urn:a"><thing xmlns=""/></thing>'
    assert inside in add_provenance(XMP.replace(b"moth", inside), PROVENANCE)


@pytest.mark.slow
@pytest.mark.parametrize(
    "inside",
    [
        b"<a>" * 200 + b"</a>" * 200,
        b"<a/>" * 300_000,
        b"<a " + b" ".join(b"xmlns:a%d='u:%d'" % (n, n) for n in range(60_000)) + b"/>",
    ],
)
def test_packets_of_absurd_structure_are_broken(inside: bytes) -> None:
    with pytest.raises(BrokenXmpError):
        Packet(XMP.replace(b"moth", inside))
