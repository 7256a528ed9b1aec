"""XMP with image coordinates or the picture's size: transformed when the picture is rotated or cropped.

What cannot be transformed (Camera Raw's crop and masks, panoramas) is removed, as are regions that are cut
off.
"""

from collections.abc import Callable, Iterator, Sequence

from defocusctl.photo.geometry import Size
from defocusctl.photo.reframing import Area, Reframing
from defocusctl.photo.xmp_packet import EXIF, ITEM, TIFF, Element, Field, Packet

REGIONS = "http://www.metadataworkinggroup.com/schemas/regions/"
ACDSEE = "http://ns.acdsee.com/regions/"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
PANORAMA = "http://ns.google.com/photos/1.0/panorama/"
RAW = "http://ns.adobe.com/camera-raw-settings/1.0/"
APPLE = "http://ns.apple.com/adjustment-settings/1.0/"

WIDTHS = (f"{TIFF} ImageWidth", f"{EXIF} ImageWidth", f"{EXIF} PixelXDimension")
HEIGHTS = (f"{TIFF} ImageLength", f"{EXIF} ImageHeight", f"{EXIF} PixelYDimension")
PAGES = "http://ns.adobe.com/xap/1.0/t/pg/ MaxPageSize"
SIDES = (
    (f"{TIFF} XResolution", f"{TIFF} YResolution"),
    (f"{EXIF} FocalPlaneXResolution", f"{EXIF} FocalPlaneYResolution"),
)
CAMERA_RAW_GEOMETRY = (
    *("Crop", "HasCrop", "Perspective", "Upright", "RedEye", "Retouch", "MaskGroup"),
    *("PaintBased", "GradientBased", "CircularGradientBased", "LensBlur", "Spots"),
)
APPLE_GEOMETRY = ("Crop", "Affine", "Straighten")
RECTANGLE = ("rbX", "rbY", "rbW", "rbH")  # of IPTC
LOST_REGION, LOST_SUBJECT = "marked regions (faces and the like)", "the subject's position"


class _OutsideError(Exception):
    """Coordinates cannot be read, or are no longer in the picture."""


def with_size(packet: bytes, size: Size) -> bytes:
    """The packet with existing properties for the size of the picture set to ``size``."""
    wanted = dict.fromkeys(WIDTHS, size.width) | dict.fromkeys(HEIGHTS, size.height)
    if not any(name.partition(" ")[2].encode() in packet for name in wanted):
        return packet
    parsed = Packet(packet, limited=False)
    for found in parsed.rdf.fields():
        if found.name in wanted and found.text != str(wanted[found.name]):
            parsed.set(found, str(wanted[found.name]))
    return parsed.edited()


def reframed(packet: bytes, reframing: Reframing) -> tuple[bytes, list[str]]:
    """The packet with all coordinates transformed, and the names of what was removed."""
    parsed = Packet(packet, limited=False)
    lost = list(_remove_untransformable(parsed))
    if reframing.swaps_sides:
        _swap_sides(parsed)
    for property_name, fields, whole in _coordinates_in(parsed.rdf, None):
        move, name = TRANSFORMS[property_name]
        try:
            keys = [found.name.partition(" ")[2] for found in fields]
            texts = move([found.text for found in fields], keys, reframing)
        except (_OutsideError, ValueError, KeyError):
            parsed.cut(whole)
            lost.append(name)
            continue
        for found, text in zip(fields, texts, strict=True):
            if text != found.text:
                parsed.set(found, text)
    return parsed.edited(), lost


def _remove_untransformable(parsed: Packet) -> Iterator[str]:
    """Remove the properties that cannot be transformed, and return their names."""
    for part in parsed.properties:
        namespace, _, local = part.name.partition(" ")
        if namespace == PANORAMA:
            lost = "the geometry of a panorama"
        elif part.name == PAGES:
            lost = "the size of the page"
        elif namespace == RAW and local.startswith(CAMERA_RAW_GEOMETRY) and part.text != "False":
            lost = "Camera Raw's crop and masks"
        elif namespace == APPLE and local.startswith(APPLE_GEOMETRY):
            lost = "the crop in Apple's adjustments"
        else:
            continue
        parsed.cut(part)
        yield lost


def _swap_sides(parsed: Packet) -> None:
    """Swap the values along x and y where both are given."""
    found = {each.name: each for each in parsed.rdf.fields()}
    for x, y in SIDES:
        if x in found and y in found:
            parsed.set(found[x], found[y].text)
            parsed.set(found[y], found[x].text)


def _coordinates_in(
    element: Element, item: Element | None
) -> Iterator[tuple[str, list[Field], Field | Element]]:
    """Names and fields of coordinates in an element, at any depth, and what to remove if they are cut off.

    That is the list item that contains them, ``item`` for the element itself, or else the coordinates.
    """
    item = element if element.name == ITEM else item
    for found in element.attributes:
        if found.name in TRANSFORMS:
            yield found.name, [found], item or found
    if element.name in TRANSFORMS:
        yield element.name, list(element.fields()), item or element
        return
    for child in element.children:
        yield from _coordinates_in(child, item)


def _scales(reframing: Reframing, unit: str) -> tuple[Size, Size]:
    """The factors that convert this unit to pixels, before and after."""
    return (Size(1, 1), Size(1, 1)) if unit == "pixel" else (reframing.before, reframing.after)


def _with_rectangle(
    names: Sequence[str],
    texts: list[str],
    keys: Sequence[str],
    unit: str,
    reframing: Reframing,
    anchor: float = 0.0,
) -> list[str]:
    """The texts with the rectangle in these fields (x, y, width, height) transformed; it may lack sides.

    (x, y) lies ``anchor`` times the sides before the centre.
    """
    given = dict(zip(keys, texts, strict=True))
    before, after = _scales(reframing, unit)
    x, y = float(given[names[0]]) * before.width, float(given[names[1]]) * before.height
    width, height = (
        float(given.get(names[2], 0)) * before.width,
        float(given.get(names[3], 0)) * before.height,
    )
    area = reframing.area(Area(x + anchor * width, y + anchor * height, width, height))
    if area is None:
        raise _OutsideError
    x, y = area.x - anchor * area.width, area.y - anchor * area.height
    values = (x / after.width, y / after.height, area.width / after.width, area.height / after.height)
    moved = dict(zip(names, map(_written, values), strict=True))
    return [moved.get(key, text) for key, text in zip(keys, texts, strict=True)]


def _marked_area(texts: list[str], keys: list[str], reframing: Reframing) -> list[str]:
    """A Metadata Working Group area: centre, and sides or diameter."""
    unit = _text_of("unit", texts, keys)
    transformed = _with_rectangle("xywh", texts, keys, unit, reframing)
    if "d" in keys:
        before, after = _scales(reframing, unit)
        place = keys.index("d")
        transformed[place] = _written(float(texts[place]) * min(before) / min(after))
    return transformed


def _face(texts: list[str], _: list[str], reframing: Reframing) -> list[str]:
    """A Microsoft rectangle: left, top, width and height in one text."""
    return [", ".join(_with_rectangle("xywh", texts[0].split(","), "xywh", "relative", reframing, 0.5))]


def _boundary(texts: list[str], keys: list[str], reframing: Reframing) -> list[str]:
    """An IPTC region: rectangle (left, top, sides), circle (centre, radius) or polygon."""
    shape, unit = _text_of("rbShape", texts, keys), _text_of("rbUnit", texts, keys)
    if shape == "rectangle":
        return _with_rectangle(RECTANGLE, texts, keys, unit, reframing, 0.5)
    before, after = _scales(reframing, unit)
    if shape == "circle":
        transformed = _with_rectangle(RECTANGLE, texts, keys, unit, reframing)
        place = keys.index("rbRx")
        transformed[place] = _written(float(texts[place]) * before.width / after.width)
        return transformed
    columns = [place for place, key in enumerate(keys) if key == "rbX"]
    rows = [place for place, key in enumerate(keys) if key == "rbY"]
    transformed, inside = list(texts), False
    for column, row in zip(columns, rows, strict=True):
        x, y = reframing.point(float(texts[column]) * before.width, float(texts[row]) * before.height)
        inside = inside or (0 <= x <= reframing.after.width and 0 <= y <= reframing.after.height)
        transformed[column] = _written(min(max(x, 0), reframing.after.width) / after.width)
        transformed[row] = _written(min(max(y, 0), reframing.after.height) / after.height)
    if not inside:
        raise _OutsideError
    return transformed


def _subject(texts: list[str], _: list[str], reframing: Reframing) -> list[str]:
    """EXIF's subject area."""
    subject = reframing.subject([float(text) for text in texts])
    if subject is None:
        raise _OutsideError
    return [str(round(value)) for value in subject]


def _applied_to(texts: list[str], keys: list[str], reframing: Reframing) -> list[str]:
    """The size of the picture in which regions were marked."""
    sides = {"w": str(reframing.after.width), "h": str(reframing.after.height)}
    return [sides.get(key, text) for key, text in zip(keys, texts, strict=True)]


def _text_of(key: str, texts: list[str], keys: list[str]) -> str:
    return texts[keys.index(key)] if key in keys else ""


def _written(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


TRANSFORMS: dict[str, tuple[Callable[[list[str], list[str], Reframing], list[str]], str]] = {
    f"{REGIONS} Area": (_marked_area, LOST_REGION),
    f"{REGIONS} AppliedToDimensions": (_applied_to, LOST_REGION),
    f"{ACDSEE} DLYArea": (_marked_area, LOST_REGION),
    f"{ACDSEE} ALGArea": (_marked_area, LOST_REGION),
    f"{ACDSEE} AppliedToDimensions": (_applied_to, LOST_REGION),
    "http://ns.microsoft.com/photo/1.2/t/Region# Rectangle": (_face, LOST_REGION),
    f"{IPTC} RegionBoundary": (_boundary, LOST_REGION),
    f"{EXIF} SubjectArea": (_subject, LOST_SUBJECT),
    f"{EXIF} SubjectLocation": (_subject, LOST_SUBJECT),
}
