"""Which files of a folder count as photos."""

from pathlib import Path

import pytest

from defocusctl.data.pairs import photos_in
from defocusctl.errors import DataError
from defocusctl.photo.targets import SUFFIXES


def test_a_folder_holds_every_kind_that_can_be_read(tmp_path: Path) -> None:
    known = [suffix for suffixes in SUFFIXES.values() for suffix in suffixes]
    names = {f"photo{suffix}" for suffix in known} | {"LOUD.JPG"}
    for name in names | {"notes.txt", "photo.gif", ".hidden.jpg"}:
        (tmp_path / name).touch()
    assert {path.name for path in photos_in(tmp_path)} == names


def test_a_folder_without_photos_says_what_they_end_in(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"no photo in .*\.jfif.*\.tiff.*files"):
        photos_in(tmp_path)
