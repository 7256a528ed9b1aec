"""XMP that speaks of what no result holds: a film, a gain map, a depth map, previews of the old picture."""

from defocusctl.photo.xmp_packet import Packet

GOOGLE = "http://ns.google.com/photos/"
CAMERA = f"{GOOGLE}1.0/camera/"
FILM_NAMES = ("MicroVideo", "MotionPhoto")
WHOLE_NAMESPACES = {
    f"{GOOGLE}1.0/container/": "pictures and films in the file (Container)",
    f"{GOOGLE}1.0/depthmap/": "a depth map",
    f"{GOOGLE}1.0/image/": "an original picture (GImage)",
    f"{GOOGLE}1.0/audio/": "a sound",
    f"{GOOGLE}1.0/focus/": "a depth map",
    f"{GOOGLE}dd/1.0/": "a depth map",
    "http://ns.adobe.com/hdr-gain-map/1.0/": "a gain map",
    "http://ns.apple.com/HDRGainMap/1.0/": "a gain map",
    "http://ns.apple.com/depthData/1.0": "a depth map",
    "http://ns.apple.com/pixeldatainfo/1.0/": "further pictures in the file",
    "http://ns.xiaomi.com/photos/1.0/camera/": "further pictures in the file",
}
FILM = "a film (motion photo)"
PREVIEW = "http://ns.adobe.com/xap/1.0/g/img/ image"
THUMBNAILS = "http://ns.adobe.com/xap/1.0/ Thumbnails"
EXTENDED = "http://ns.adobe.com/xmp/note/ HasExtendedXMP"
OPPO = "http://ns.oplus.com/photos/1.0/camera/"


def take_out(packet: Packet) -> list[str]:
    """Take such properties out; return what they spoke of, previews and pieces left unnamed."""
    spoken: list[str] = []
    for found in packet.rdf.fields():
        if found.name == PREVIEW:
            packet.cut(found)
    for description in packet.descriptions:
        for part in description.properties:
            subject = _subject(part.name)
            if subject is not None:
                spoken.append(subject)
            if subject is not None or part.name in (THUMBNAILS, EXTENDED):
                packet.cut(part)
    return list(dict.fromkeys(spoken))


def _subject(name: str) -> str | None:
    """What of a property no result holds, or None."""
    namespace, _, local = name.partition(" ")
    if namespace == CAMERA and local.startswith(FILM_NAMES):
        return FILM
    if namespace == OPPO and local.startswith(("MotionPhoto", "OLivePhoto", "VideoLength")):
        return FILM
    return next((words for known, words in WHOLE_NAMESPACES.items() if namespace.startswith(known)), None)
