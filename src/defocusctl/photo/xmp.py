"""XMP of a restored photo: its orientation, its provenance, and no references to data it does not contain."""

import re

from defocusctl.photo import embedded_pictures
from defocusctl.photo.model import Provenance
from defocusctl.photo.xmp_packet import ABOUT, RDF, TIFF, Element, Field, Packet, attribute

HEADER = b"http://ns.adobe.com/xap/1.0/\0"  # before a packet in a JPEG segment
ORIENTATION = f"{TIFF} Orientation"
NAMESPACE = "urn:defocusctl:1.0#"
PREFIX = "defocusctl"

GOOGLE = "http://ns.google.com/photos/"
MOTION_NAMES = ("MicroVideo", "MotionPhoto", "OLivePhoto")  # in any maker's namespace
WHOLE_NAMESPACES = {
    f"{GOOGLE}1.0/container/": "pictures and videos in the file (Container)",
    f"{GOOGLE}1.0/depthmap/": "a depth map",
    f"{GOOGLE}1.0/image/": "an original picture (GImage)",
    f"{GOOGLE}1.0/audio/": "an audio recording",
    f"{GOOGLE}1.0/focus/": "a depth map",
    f"{GOOGLE}dd/1.0/": "a depth map",
    "http://ns.adobe.com/hdr-gain-map/1.0/": "a gain map",
    "http://ns.apple.com/HDRGainMap/1.0/": "a gain map",
    "http://ns.apple.com/depthData/1.0": "a depth map",
    "http://ns.apple.com/pixeldatainfo/1.0/": "further pictures in the file",
    "http://ns.xiaomi.com/photos/1.0/camera/": "further pictures in the file",
}
MOTION = "a video (motion photo)"
SINGLE_NAMES = {
    "http://ns.oplus.com/photos/1.0/camera/ VideoLength": MOTION,
    "http://ns.adobe.com/camera-raw-settings/1.0/ DepthMapInfo": "a depth map",
    "http://ns.adobe.com/photoshop/1.0/ TextLayers": "Photoshop's text layers",
}
CREDENTIALS = "http://purl.org/dc/terms/ provenance"  # C2PA: the URI of the manifest; otherwise plain words
PREVIEW = "http://ns.adobe.com/xap/1.0/g/img/ image"
THUMBNAILS = "http://ns.adobe.com/xap/1.0/ Thumbnails"
EXTENDED = "http://ns.adobe.com/xmp/note/ HasExtendedXMP"

EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="' + RDF + '"></rdf:RDF></x:xmpmeta>'
    '<?xpacket end="w"?>'
).encode()


def normalise(packet: Packet) -> int | None:
    """Set tiff:Orientation to 1; return the packet's original orientation (1 to 8) or None.

    An orientation that is not a number is left alone.
    """
    orientation = None
    for found in packet.rdf.fields():
        if found.name == ORIENTATION and re.fullmatch("[1-8]", found.text.strip()):
            orientation = orientation or int(found.text)
            packet.set(found, "1")
    return orientation


def remove_references(packet: Packet) -> list[str]:
    """Remove references to missing data; return what they were about, except for previews and parts."""
    about: list[str] = []
    for element in packet.rdf.walk():
        parts: list[Field | Element] = [*element.attributes, element]
        for part in parts:
            beginning = part.text.lstrip()[: embedded_pictures.HEAD].encode()
            if part.name == PREVIEW or embedded_pictures.is_encoded(beginning):
                packet.cut(part)
    for part in packet.properties:
        subject = "Content Credentials" if _links_credentials(part) else _subject(part.name)
        if subject is not None:
            about.append(subject)
        if subject is not None or part.name in (THUMBNAILS, EXTENDED):
            packet.cut(part)
    return about


def add_provenance(packet: bytes | None, provenance: Provenance) -> bytes:
    """The packet (or a new one) with the provenance as properties in the ``defocusctl`` namespace.

    An earlier provenance is replaced, however it was written; the padding at the end is dropped.
    """
    parsed = Packet(EMPTY if packet is None else packet, limited=False)
    kept = _cut_provenance(parsed)
    abouts = [found.text for each in kept for found in each.attributes if found.name == ABOUT]
    rdf = parsed.prefix
    properties = {"software": provenance.software, **provenance.settings}
    texts = [attribute(f"{PREFIX}:{_xml_name(key)}", _xml_text(value)) for key, value in properties.items()]
    about = attribute(f"{rdf}about", next(filter(None, abouts), ""))
    parsed.append(f'<{rdf}Description{about} xmlns:{PREFIX}="{NAMESPACE}"{"".join(texts)}/>')
    return parsed.edited()


def without_provenance(packet: bytes) -> bytes:
    """The packet without padding, properties of an earlier run, and Descriptions that held only those."""
    parsed = Packet(packet, limited=False)
    _cut_provenance(parsed)
    return parsed.edited()


def _cut_provenance(parsed: Packet) -> list[Element]:
    """Remove padding and an earlier run's properties; return the Descriptions that still have others."""
    parsed.cut_padding()
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
    """Whether the packet says that this program made the picture."""
    return packet is not None and NAMESPACE.encode() in packet


def _xml_name(key: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", key)
    return name if re.match(r"[A-Za-z_]", name) else f"_{name}"


def _xml_text(value: str | int | float) -> str:
    """The value without the characters that XML 1.0 does not allow."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", str(value))


def _links_credentials(part: Field | Element) -> bool:
    """Whether the property links to Content Credentials, in the file or elsewhere, for the original bytes."""
    if part.name != CREDENTIALS:
        return False
    texts = [part.text]
    for element in part.walk() if isinstance(part, Element) else ():
        texts += [element.text, *(each.text for each in element.attributes)]
    return any(re.match(r"\s*(self#|https?:|urn:)", text) for text in texts)


def _subject(name: str) -> str | None:
    """What this property is about if results do not contain it, else None."""
    namespace, _, local = name.partition(" ")
    if local.startswith(MOTION_NAMES):
        return MOTION
    if name in SINGLE_NAMES:
        return SINGLE_NAMES[name]
    return next((words for known, words in WHOLE_NAMESPACES.items() if namespace.startswith(known)), None)
