"""Fills the ``page.html`` of a folder, which extends ``base.html`` here."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from defocusctl.system.atomic import atomic_write

HERE = Path(__file__).parent


def write_page(
    path: Path, folder: Path, values: Mapping[str, Any], *, images: str = "data:", force: bool
) -> None:
    """Write one HTML file with its styles, scripts and data inside.

    ``folder`` holds ``page.html``, ``style.css`` and ``script.js``; its styles and scripts come after the
    shared ones. Everything in ``values`` is escaped by the template engine; iterators among them are read as
    they are written, so that a page may be larger than what fits into memory. The page's own policy forbids
    it to load anything but pictures from ``images`` (sources as Content-Security-Policy names them) and to
    run any script but its own.

    Raises:
        OutputError: if the file exists (without ``force``) or cannot be written; nothing is left behind then.
    """
    environment = Environment(
        loader=FileSystemLoader([folder, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    style, script = (
        "".join(file.read_text(encoding="utf-8") for file in files)
        for files in ((HERE / "base.css", folder / "style.css"), (HERE / "stage.js", folder / "script.js"))
    )
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src {images}; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{script_hash}'; base-uri 'none'; form-action 'none'"
    )
    page = environment.get_template("page.html")
    with atomic_write(path, force=force) as handle:
        for piece in page.generate(**values, policy=policy, style=style, script=script):
            handle.write(piece.encode("utf-8", "backslashreplace"))  # names of files need not be Unicode
