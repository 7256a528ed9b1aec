"""Draw the pictures of docs/gallery.md by running the code on the page.

python scripts/gallery.py

Writes docs/images/gallery. A test runs the page as well and compares what it draws with these files.
"""

import contextlib
import re
import shlex
import shutil
import tempfile
from pathlib import Path

from PIL import Image

from defocusctl.cli.app import run

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "images" / "gallery"
WIDEST = 1100


def draw(work: Path) -> dict[str, Image.Image]:
    """Run the page's code in the folder ``work`` and return its pictures, by their names on the page.

    The code writes ``images/gallery/NAME.jpg`` as ``NAME.png``.
    """
    for folder in ("samples", "recipes"):
        shutil.copytree(ROOT / folder, work / folder)
    text = PAGE.read_text(encoding="utf-8")
    variables: dict[str, object] = {}
    with contextlib.chdir(work):
        for language, block in re.findall(
            r"^```(python|console)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
        ):
            if language == "python":
                exec(compile(block, str(PAGE), "exec"), variables)
            else:
                for line in block.splitlines():
                    if code := run(shlex.split(line.removeprefix("$ defocusctl ")), debug=True):
                        raise SystemExit(f"{line} ends with {code}")
    return {name: _picture((work / name).with_suffix(".png")) for name in shown()}


def shown() -> list[str]:
    """The pictures on the page."""
    return re.findall(r"\(images/gallery/([^)]+)\)", PAGE.read_text(encoding="utf-8"))


def _picture(drawn: Path) -> Image.Image:
    with Image.open(drawn) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((WIDEST, 10 * WIDEST))
    return picture


def main() -> None:
    with tempfile.TemporaryDirectory() as work:
        pictures = draw(Path(work))
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir(parents=True)
    for name, picture in pictures.items():
        picture.save(PICTURES / name, quality=85)


if __name__ == "__main__":
    main()
