"""The frame of every page: a self-contained HTML file."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from defocusctl.system.atomic import atomic_write

TEMPLATES = Path(__file__).with_name("templates")
MINUS = "\N{MINUS SIGN}"


def write_page(path: Path, name: str, values: Mapping[str, Any], *, images: str = "data:") -> None:
    """Write the page ``name`` to a file, as ``page_pieces`` makes it.

    Raises:
        OutputError: if the file cannot be written; an older one is then unchanged.
    """
    with atomic_write(path, force=True) as handle:
        for piece in page_pieces(name, values, images=images):
            handle.write(piece.encode("utf-8", "backslashreplace"))  # file names need not be valid Unicode


def page_pieces(
    name: str, values: Mapping[str, Any], *, images: str, connections: str = "'none'"
) -> Iterator[str]:
    """The page ``name``: its HTML in the frame, its styles and script after those of all pages.

    Everything in ``values`` is escaped by the template engine; iterators are consumed with the pieces, so
    that a page need not fit into memory. Its Content-Security-Policy allows only images from ``images``, its
    own script, and for that ``connections``.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters["minus"] = lambda figure: figure.replace("-", MINUS)
    style, script = (
        "".join((TEMPLATES / f"{part}.{kind}").read_text(encoding="utf-8") for part in ("page", name))
        for kind in ("css", "js")
    )
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src {images}; connect-src {connections}; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{script_hash}'; base-uri 'none'; form-action 'none'"
    )
    page = environment.get_template(f"{name}.html")
    yield from page.generate(**values, policy=policy, style=style, script=script)
