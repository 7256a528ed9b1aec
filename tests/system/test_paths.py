"""Names of files, here and on Windows."""

import ntpath

import pytest

from defocusctl.system.paths import is_file_name, portable_name

ONLY_ELSEWHERE = {
    "CON.jpg": "_CON.jpg",
    "nul": "_nul",
    "Com1 .tif": "_Com1 .tif",
    "lpt\N{SUPERSCRIPT TWO}.x.png": "_lpt\N{SUPERSCRIPT TWO}.x.png",
    "conin$.jpg": "_conin$.jpg",
    "10:30.jpg": "10_30.jpg",
    "a\\b.jpg": "a_b.jpg",
    'what?*"<|>.jpg': "what______.jpg",
    "line\nfeed.jpg": "line_feed.jpg",
    "photo.jpg.": "photo.jpg_",
    "photo ": "photo_",
}
EVERYWHERE = (
    "photo.jpg",
    "console.jpg",
    "COM.jpg",
    "com10.png",
    "Größe 1.TIF",
    ".hidden",
    "a.con",
    "写真.jpg",
)


@pytest.mark.parametrize(("name", "portable"), ONLY_ELSEWHERE.items())
def test_names_that_only_windows_refuses(name: str, portable: str) -> None:
    assert is_file_name(name, windows=False)
    assert not is_file_name(name, windows=True)
    assert portable_name(name) == portable
    assert is_file_name(portable, windows=True)


@pytest.mark.parametrize("name", EVERYWHERE)
def test_names_that_files_have_everywhere(name: str) -> None:
    assert is_file_name(name, windows=True)
    assert is_file_name(name, windows=False)
    assert portable_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b"])
def test_names_that_no_file_has(name: str) -> None:
    assert not is_file_name(name, windows=False)
    assert not is_file_name(name, windows=True)


@pytest.mark.skipif(not hasattr(ntpath, "isreserved"), reason="Python says it from 3.13 on")
@pytest.mark.parametrize("name", [*ONLY_ELSEWHERE, *EVERYWHERE])
def test_python_agrees(name: str) -> None:
    name = name.replace("\\", "")  # Python looks at each part of a path by itself
    assert is_file_name(name, windows=True) is not ntpath.isreserved(name)
