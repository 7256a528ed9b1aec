"""XMP packets (ISO 16684-1) as trees in which every part knows its position in the text.

Expat parses a packet; edits then replace or cut parts of its text, so that everything else stays byte for
byte, with its prefixes, quotes and line breaks. Names are written "URI local", as in expat. Here and in what
builds on it, functions raise BrokenXmpError for text that is not well-formed XMP.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
TIFF, EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
RDF_ROOT, DESCRIPTION, ABOUT, ITEM = (f"{RDF} {name}" for name in ("RDF", "Description", "about", "li"))
LARGEST = 16 * 2**20
MAX_NAMES, MAX_LEVELS = 50_000, 100
WIDE_ENCODINGS = {  # by the first bytes, a byte-order mark or "<"
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"<\0\0\0": "utf-32-le",
    b"\0\0\0<": "utf-32-be",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"<\0": "utf-16-le",
    b"\0<": "utf-16-be",
}
WIDE_DECLARATION = re.compile(r"^\s*<\?xml\s[^>]*\?>|\0+$")
TAG_NAME = re.compile(rb"[^\s/>]+")  # both for text that expat found well-formed
ATTRIBUTE = re.compile(rb"\s+([^\s=/>]+)\s*=\s*(\"[^\"]*\"|'[^']*')")


class BrokenXmpError(ValueError):
    """The packet is not well-formed XMP."""


class LargeXmpError(BrokenXmpError):
    """The packet is too long, or has too many or too deeply nested elements."""


@dataclass(slots=True)
class Field:
    """A name with its text: an attribute, or an element without child elements.

    Cut ``start`` to ``end`` to remove it; replace ``value_start`` to ``value_end`` to change it.
    """

    name: str
    text: str
    start: int
    end: int
    value_start: int
    value_end: int


@dataclass(slots=True)
class Element:
    """An element from ``start`` to ``end``, with content from ``inside`` to ``inside_end``.

    In its tag, attributes begin at ``name_end``. ``prefixes`` are the namespaces that it declares itself;
    ``empty`` means that it is an empty-element tag.
    """

    name: str
    start: int
    attributes: list[Field] = field(default_factory=list)
    declarations: list[Field] = field(default_factory=list)
    prefixes: dict[str, str] = field(default_factory=dict)
    children: list["Element"] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    name_end: int = 0
    inside: int = 0
    inside_end: int = 0
    end: int = 0
    empty: bool = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def properties(self) -> list["Field | Element"]:
        """The properties of a Description, both attributes and child elements."""
        return [*(found for found in self.attributes if not found.name.startswith(RDF)), *self.children]

    def walk(self) -> Iterator["Element"]:
        """This element and all its descendants, in document order."""
        waiting = [self]
        while waiting:
            element = waiting.pop()
            yield element
            waiting += reversed(element.children)

    def fields(self) -> Iterator[Field]:
        """All fields in this element, itself included, at any depth."""
        for element in self.walk():
            yield from (found for found in element.attributes if not found.name.startswith(RDF))
            if not element.children:
                span = (element.start, element.end, element.inside, element.inside_end)
                yield Field(element.name, element.text.strip(), *span)


class Packet:
    """A parsed packet and the edits to make to it."""

    def __init__(self, text: bytes, *, limited: bool = True) -> None:
        """Without limits for a packet that was within them when it was read: edits may have enlarged it."""
        self.bytes = as_utf8(text)
        self._limited = limited
        if limited and len(self.bytes) > LARGEST:
            raise LargeXmpError(f"it is longer than {LARGEST // 2**20} MiB")
        self.trailer: int | None = None  # start of the closing processing instruction
        self.scope: dict[str, str] = {}  # namespaces declared by rdf:RDF and its ancestors
        self._open: list[Element] = []
        self._count = 0
        self._pending: dict[str, str] = {}
        self._edits: list[tuple[int, int, bytes]] = []
        self.root: Element
        self._parse()
        rdf = next((found for found in self.root.walk() if found.name == RDF_ROOT), None)
        if rdf is None:
            raise BrokenXmpError("no rdf:RDF element")
        self.rdf = rdf

    @property
    def descriptions(self) -> list[Element]:
        return [child for child in self.rdf.children if child.name == DESCRIPTION]

    @property
    def properties(self) -> list[Field | Element]:
        """Those of all Descriptions."""
        return [part for description in self.descriptions for part in description.properties]

    @property
    def prefix(self) -> str:
        """The prefix of RDF's own names, with its colon."""
        return self.bytes[self.rdf.start + 1 : self.rdf.name_end].removesuffix(b"RDF").decode()

    @property
    def changed(self) -> bool:
        return bool(self._edits)

    def cut(self, part: Field | Element) -> None:
        self._edits.append((part.start, part.end, b""))

    def set(self, part: Field, text: str) -> None:
        """Change the text of a field."""
        quoted = escape(text, {'"': "&quot;", "'": "&apos;"})
        self._edits.append((part.value_start, part.value_end, quoted.encode()))

    def append(self, element: str) -> None:
        """Add an element at the end of rdf:RDF."""
        rdf = self.rdf
        if not rdf.empty:
            self._edits.append((rdf.inside_end, rdf.inside_end, element.encode()))
            return
        tag, name = self.bytes[rdf.start : rdf.end - 2], self.bytes[rdf.start + 1 : rdf.name_end]
        self._edits.append((rdf.start, rdf.end, tag + b">" + element.encode() + b"</" + name + b">"))

    def cut_padding(self) -> None:
        """Remove the white space before the closing processing instruction."""
        if self.trailer is not None:
            before = self.bytes[self.root.end : self.trailer]
            start = self.root.end + len(before.rstrip())
            self._edits.append((start, self.trailer, b"\n" if start < self.trailer else b""))

    def edited(self) -> bytes:
        """The text with all edits applied; edits inside a part that is itself replaced are dropped."""
        pieces, position = [], 0
        for start, end, text in sorted(self._edits, key=lambda edit: (edit[0], -edit[1])):
            if start >= position:
                pieces += [self.bytes[position:start], text]
                position = end
        return b"".join([*pieces, self.bytes[position:]])

    def _parse(self) -> None:
        parser = self._parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartNamespaceDeclHandler = self._namespace
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        try:
            parser.Parse(self.bytes, True)
        except BrokenXmpError:
            raise
        except (expat.ExpatError, IndexError, ValueError) as error:  # the last two for foreign encodings
            raise BrokenXmpError(str(error)) from error

    def _namespace(self, prefix: str | None, uri: str | None) -> None:
        self._count_names(1)
        self._pending[prefix or ""] = uri or ""  # None for xmlns=""

    def _count_names(self, further: int) -> None:
        self._count += further
        if self._limited and (self._count > MAX_NAMES or len(self._open) >= MAX_LEVELS):
            raise LargeXmpError(
                f"it has more than {MAX_NAMES:,} elements and attributes, or {MAX_LEVELS} levels"
            )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count_names(1 + len(attributes))
        element = Element(name, self._parser.CurrentByteIndex, prefixes=self._pending)
        self._pending = {}
        if name == RDF_ROOT and not self.scope:
            for around in (*self._open, element):
                self.scope |= around.prefixes
        self._read_tag(element, attributes)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def _read_tag(self, element: Element, attributes: dict[str, str]) -> None:
        """Find the attributes in the start tag; expat reports them in the same order."""
        names = iter(attributes.items())
        tag = TAG_NAME.match(self.bytes, element.start + 1)
        if tag is None:
            raise BrokenXmpError("a foreign encoding")
        position = element.name_end = tag.end()
        while found := ATTRIBUTE.match(self.bytes, position):
            span = (found.start(), found.end(), found.start(2) + 1, found.end(2) - 1)
            position = found.end()
            if found[1] == b"xmlns" or found[1].startswith(b"xmlns:"):
                uri = element.prefixes.get(found[1].decode().partition(":")[2], "")
                element.declarations.append(Field(uri, found[1].decode(), *span))
            else:
                name, text = next(names)
                element.attributes.append(Field(name, text, *span))
        end = self.bytes.index(b">", position) + 1
        element.empty = self.bytes[end - 2 : end - 1] == b"/"
        element.inside = element.inside_end = element.end = end

    def _end(self, _: str) -> None:
        element = self._open.pop()
        if not element.empty:
            element.inside_end = self._parser.CurrentByteIndex
            element.end = self.bytes.index(b">", element.inside_end) + 1

    def _text(self, text: str) -> None:
        if self._open:
            self._open[-1].pieces.append(text)

    def _instruction(self, target: str, text: str) -> None:
        if target == "xpacket" and text.startswith("end") and not self._open:
            self.trailer = self._parser.CurrentByteIndex

    def _doctype(self, *_: object) -> None:
        raise BrokenXmpError("a document type is not allowed")


def as_utf8(text: bytes) -> bytes:
    """The packet in UTF-8, without anything before or after it."""
    foreign = next((name for start, name in WIDE_ENCODINGS.items() if text.startswith(start)), None)
    if foreign is not None:
        try:
            return WIDE_DECLARATION.sub("", text.decode(foreign)).encode()
        except UnicodeError as error:
            raise BrokenXmpError(f"not {foreign.upper()}") from error
    return text.rstrip(b"\0").removeprefix(b"\xef\xbb\xbf")


def attribute(name: str, text: str) -> str:
    """An attribute as written in a tag, with a space before it."""
    return f" {name}={quoteattr(text)}"
