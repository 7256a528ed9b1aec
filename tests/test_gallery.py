"""docs/gallery.md: its code runs, and draws the pictures that the page shows."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scripts.gallery import PICTURES, draw, shown

from tests.machine import make_fresh_machine

MOST_DIFFERENT = 4.0
"""Mean grey levels between a picture and the stored JPEG of it, which other processors round differently."""


@pytest.mark.slow
def test_the_page_draws_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_fresh_machine(monkeypatch, tmp_path / "home")
    (tmp_path / "work").mkdir()
    pictures = draw(tmp_path / "work")
    assert len(pictures) == 13
    for name, picture in pictures.items():
        drawn = np.asarray(picture, float)
        assert drawn.std() > 10, name
        with Image.open(PICTURES / name) as stored:
            assert stored.size == picture.size, name
            difference = np.abs(np.asarray(stored, float) - drawn).mean()
        assert difference < MOST_DIFFERENT, f"{name}: run `python scripts/gallery.py`"


def test_no_picture_of_the_documentation_is_left_over() -> None:
    pages = [PICTURES.parents[1].parent / "README.md", *PICTURES.parents[1].rglob("*.md")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    for picture in PICTURES.parent.rglob("*.*"):
        assert f"images/{picture.relative_to(PICTURES.parent).as_posix()})" in text, picture
    assert {picture.name for picture in PICTURES.iterdir()} == set(shown())
