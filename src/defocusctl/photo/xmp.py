"""XMP packets (ISO 16684-1): reset tiff:Orientation and add where the picture came from, as text edits.

Packets are edited as text, not parsed and written anew, so that everything else stays byte for byte.
"""

import re
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from defocusctl.photo.model import Provenance

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
TIFF = "http://ns.adobe.com/tiff/1.0/"
NAMESPACE = "urn:defocusctl:1.0#"
PREFIX = "defocusctl"
LARGEST = 16 * 2**20

EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="' + RDF + '"></rdf:RDF></x:xmpmeta>'
    '<?xpacket end="w"?>'
).encode()


class BrokenXmpError(ValueError):
    """The packet is not well-formed XMP."""


class _Layout:
    """Where a packet holds what the edits need: the end of rdf:RDF, its prefix, the prefixes of tiff."""

    def __init__(self, packet: bytes) -> None:
        self.insert_at = -1
        self.rdf_prefix = "rdf"
        self.about = ""
        self.tiff_prefixes: set[str] = set()
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartNamespaceDeclHandler = self._namespace
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._doctype
        self._parser = parser
        try:
            parser.Parse(packet, True)
        except expat.ExpatError as error:
            raise BrokenXmpError(str(error)) from error
        if self.insert_at < 0 or not packet[self.insert_at :].startswith(b"</"):
            raise BrokenXmpError("no rdf:RDF element")

    def _namespace(self, prefix: str | None, uri: str) -> None:
        if uri == TIFF and prefix:
            self.tiff_prefixes.add(prefix)
        if uri == RDF and prefix:
            self.rdf_prefix = prefix

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == f"{RDF} Description":
            self.about = self.about or attributes.get(f"{RDF} about", "")

    def _end(self, name: str) -> None:
        if name == f"{RDF} RDF":
            self.insert_at = self._parser.CurrentByteIndex

    def _doctype(self, *_: object) -> None:
        raise BrokenXmpError("a document type is not allowed")


def normalise(packet: bytes) -> tuple[bytes, int | None]:
    """The packet in UTF-8 with tiff:Orientation 1, and the orientation it named before (1 to 8) or None.

    Raises:
        BrokenXmpError: if the packet is not well-formed XMP.
    """
    packet = _as_utf8(packet)
    orientation = None
    for prefix in _Layout(packet).tiff_prefixes:
        name = re.escape(prefix.encode()) + b":Orientation"
        pattern = re.compile(rb"(<" + name + rb"\s*>\s*|\s" + name + rb"\s*=\s*[\"']\s*)(\d+)")
        found = pattern.search(packet)
        if found:
            value = int(found[2][:3])
            orientation = value if value in range(1, 9) else None
            packet = pattern.sub(rb"\g<1>1", packet)
    return packet, orientation


def add_provenance(packet: bytes | None, provenance: Provenance) -> bytes:
    """The packet (or a new one) with the provenance as properties of the ``defocusctl`` namespace.

    An earlier provenance is replaced; the padding at the end is dropped.

    Raises:
        BrokenXmpError: if the packet is not well-formed XMP.
    """
    packet = _without_provenance(EMPTY if packet is None else packet)
    packet = re.sub(rb"\s+(<\?xpacket end)", rb"\n\1", packet)
    layout = _Layout(packet)
    rdf = layout.rdf_prefix
    properties = {"software": provenance.software, **provenance.settings}
    attributes = "".join(
        f" {PREFIX}:{_xml_name(key)}={quoteattr(_xml_text(value))}" for key, value in properties.items()
    )
    description = (
        f'<{rdf}:Description {rdf}:about={quoteattr(layout.about)} xmlns:{PREFIX}="{NAMESPACE}"{attributes}/>'
    )
    return packet[: layout.insert_at] + description.encode() + packet[layout.insert_at :]


def has_provenance(packet: bytes | None) -> bool:
    """Whether the picture with this packet was made by this program."""
    return packet is not None and NAMESPACE.encode() in packet


def _without_provenance(packet: bytes) -> bytes:
    """The packet without properties of an earlier run, whichever way they are written."""
    prefix = PREFIX.encode()
    namespace = re.escape(NAMESPACE.encode())
    packet = re.sub(
        rb"<[\w.-]+:Description [^<>]*xmlns:" + prefix + rb'="' + namespace + rb'"[^<>]*/>', b"", packet
    )
    packet = re.sub(rb"\s" + prefix + rb":[\w.-]+=(?:\"[^\"<]*\"|'[^'<]*')", b"", packet)
    return re.sub(rb"<(" + prefix + rb":[\w.-]+)>[^<]*</\1>", b"", packet)


def _as_utf8(packet: bytes) -> bytes:
    if len(packet) > LARGEST:
        raise BrokenXmpError("the packet is larger than 16 MiB")
    if packet[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return packet.decode("utf-16").encode()
        except UnicodeError as error:
            raise BrokenXmpError("not UTF-16") from error
    return packet.rstrip(b"\0").removeprefix(b"\xef\xbb\xbf")


def _xml_name(key: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", key)
    return name if re.match(r"[A-Za-z_]", name) else f"_{name}"


def _xml_text(value: str | int | float) -> str:
    """The value without the characters that XML 1.0 does not allow."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", str(value))
