"""What a photo's XMP must not get wrong: its orientation, and where the picture came from."""

import re

from defocusctl.photo.model import Provenance
from defocusctl.photo.xmp_packet import ABOUT, RDF, Element, Packet, attribute

TIFF = "http://ns.adobe.com/tiff/1.0/"
ORIENTATION = f"{TIFF} Orientation"
NAMESPACE = "urn:defocusctl:1.0#"
PREFIX = "defocusctl"

EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="' + RDF + '"></rdf:RDF></x:xmpmeta>'
    '<?xpacket end="w"?>'
).encode()


def normalise(packet: Packet) -> int | None:
    """Set tiff:Orientation to 1; return the orientation that the packet named before (1 to 8) or None.

    An orientation that is not a number stays as it is.
    """
    orientation = None
    for found in packet.rdf.fields():
        if found.name == ORIENTATION and re.fullmatch("[1-8]", found.text.strip()):
            orientation = orientation or int(found.text)
            packet.set(found, "1")
    return orientation


def add_provenance(packet: bytes | None, provenance: Provenance) -> bytes:
    """The packet (or a new one) with the provenance as properties of the ``defocusctl`` namespace.

    An earlier provenance is replaced, whichever way another program wrote it; the padding at the end is
    dropped.

    Raises:
        BrokenXmpError: if the packet is not well-formed XMP.
    """
    parsed = Packet(EMPTY if packet is None else packet)
    kept = _cut_provenance(parsed)
    parsed.cut_padding()
    abouts = [found.text for each in kept for found in each.attributes if found.name == ABOUT]
    rdf = parsed.prefix
    properties = {"software": provenance.software, **provenance.settings}
    texts = [attribute(f"{PREFIX}:{_xml_name(key)}", _xml_text(value)) for key, value in properties.items()]
    about = attribute(f"{rdf}about", next(filter(None, abouts), ""))
    parsed.append(f'<{rdf}Description{about} xmlns:{PREFIX}="{NAMESPACE}"{"".join(texts)}/>')
    return parsed.edited()


def without_provenance(packet: bytes) -> bytes:
    """The packet without its padding, properties of an earlier run, and Descriptions with nothing else."""
    parsed = Packet(packet)
    _cut_provenance(parsed)
    parsed.cut_padding()
    return parsed.edited()


def _cut_provenance(parsed: Packet) -> list[Element]:
    """Take out the properties of an earlier run; return the Descriptions that hold others."""
    for element in parsed.rdf.walk():
        for part in element.properties:
            if part.name.startswith(NAMESPACE):
                parsed.cut(part)
        for declaration in element.declarations:
            if declaration.name == NAMESPACE:
                parsed.cut(declaration)
    kept = []
    for description in parsed.descriptions:
        if all(part.name.startswith(NAMESPACE) for part in description.properties):
            parsed.cut(description)
        else:
            kept.append(description)
    return kept


def has_provenance(packet: bytes | None) -> bool:
    """Whether the picture with this packet was made by this program."""
    return packet is not None and NAMESPACE.encode() in packet


def _xml_name(key: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", key)
    return name if re.match(r"[A-Za-z_]", name) else f"_{name}"


def _xml_text(value: str | int | float) -> str:
    """The value without the characters that XML 1.0 does not allow."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", str(value))
