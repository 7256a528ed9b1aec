"""Which files a batch takes, and what it calls them."""

import os
from pathlib import Path

import pytest

from defocusctl.batch.inputs import Search, paths_in_list, real_path
from defocusctl.errors import InputError, UsageError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(search: Search, *inputs: str, listed: tuple[str, ...] = ()) -> list[str]:
    return [found.name for found in search.find(inputs, listed).photos]


def test_a_folder_gives_its_photos_and_those_below(home: Path) -> None:
    touch(home / "in", "b.JPG", "a.tif", "notes.txt", "sub/c.png", "sub/deep/d.webp")
    assert names(Search(Path("out")), "in") == ["a.tif", "b.JPG", "sub/c.png", "sub/deep/d.webp"]
    assert names(Search(Path("out"), recursive=False), "in") == ["a.tif", "b.JPG"]


def test_hidden_files_and_folders_are_no_inputs(home: Path) -> None:
    touch(home / "in", "a.png", ".b.png", ".thumbnails/c.png", ".defocusctl-1.part")
    assert names(Search(Path("out")), "in") == ["a.png"]
    assert names(Search(Path("out")), "in/**/*.png") == ["a.png"]


def test_results_are_no_inputs(home: Path) -> None:
    """Neither below the folder for them nor where earlier runs put them."""
    touch(home / "in", "a.png", "out/a.png", "maps/a_mu.png")
    own = {real_path(Path("in/maps/a_mu.png"))}
    assert names(Search(Path("in/out"), own=own), "in") == ["a.png"]


def test_patterns_meet_no_results_either(home: Path) -> None:
    """Nor anything else in the folder for them, nor pictures of a report; unless they begin in there."""
    touch(home / "in", "a.png", "out/stray.png", "out/defocusctl-report/b.png", "old/defocusctl-report/c.png")
    for pattern in ("in/**", "in/*", "in/**/*.png"):
        assert names(Search(Path("in/out")), pattern) == ["a.png"]
    assert names(Search(Path("in")), "in/out/*.png") == ["stray.png"]


def test_patterns_choose(home: Path) -> None:
    touch(home / "in", "IMG_1.JPG", "IMG_2.png", "raw/IMG_3.jpg", "raw/x/IMG_4.jpg")
    assert names(Search(Path("out"), include=("*.jpg",)), "in") == [
        "IMG_1.JPG",
        "raw/IMG_3.jpg",
        "raw/x/IMG_4.jpg",
    ]
    for pattern in ("raw", "raw/", "./raw/*"):
        assert names(Search(Path("out"), exclude=(pattern,)), "in") == ["IMG_1.JPG", "IMG_2.png"]
    assert names(Search(Path("out"), include=("raw/*",), exclude=("*_4*",)), "in") == ["raw/IMG_3.jpg"]


def test_globs_begin_at_their_first_wildcard(home: Path) -> None:
    touch(home / "in", "2023/a.png", "2024/b.png", "2024/c.txt", "2024/sub/d.png")
    assert names(Search(Path("out")), "in/*/*.png") == ["2023/a.png", "2024/b.png"]
    assert names(Search(Path("out")), str(home / "in/**/*.png")) == [
        "2023/a.png",
        "2024/b.png",
        "2024/sub/d.png",
    ]
    assert names(Search(Path("out")), "in/202*") == ["2023/a.png", "2024/b.png", "2024/sub/d.png"]


def test_a_file_that_is_named_is_taken_whatever_it_is_called(home: Path) -> None:
    touch(home, "scan.dat", "in/[1].png")
    assert names(Search(Path("out")), "scan.dat", "in/[1].png") == ["scan.dat", "[1].png"]


def test_the_same_file_twice_is_one_input(home: Path) -> None:
    touch(home / "in", "a.png", "b.png")
    assert names(Search(Path("out")), "in", "in/a.png") == ["a.png", "b.png"]


def test_a_list_names_from_the_working_folder_or_the_root(home: Path) -> None:
    touch(home, "in/2023/a.png", "in/b.png")
    listed = ("in/2023", "in/b.png", "in/gone.png")
    assert names(Search(Path("out")), listed=listed) == ["in/2023/a.png", "in/b.png", "in/gone.png"]
    rooted = Search(Path("out"), root=Path("in"))
    assert names(rooted, listed=listed) == ["2023/a.png", "b.png", "gone.png"]
    with pytest.raises(UsageError, match="is not in"):
        names(Search(Path("out"), root=Path("in/2023")), listed=("in/b.png",))


@pytest.mark.parametrize(
    "content", [b"a b.png\n\xff.png\n\n", b"a b.png\r\n\xff.png", b"a b.png\0\xff.png\0"]
)
def test_lists_are_lines_or_end_in_zero_bytes(content: bytes) -> None:
    assert list(paths_in_list(content)) == ["a b.png", os.fsdecode(b"\xff.png")]


def test_an_input_that_does_not_exist_is_refused(home: Path) -> None:
    with pytest.raises(InputError, match="there is no 'phtos'"):
        Search(Path("out")).find(["phtos"])
    with pytest.raises(InputError, match=r"there is no 'phtos/\*\.jpg'"):
        Search(Path("out")).find(["phtos/*.jpg"])


def test_a_listed_file_that_is_missing_is_an_input(home: Path) -> None:
    assert names(Search(Path("out")), listed=("gone.jpg", "gone[1].jpg")) == ["gone.jpg", "gone[1].jpg"]


@pytest.mark.posix
@pytest.mark.skipif(os.name != "posix", reason="needs links and pipes")
def test_links_and_pipes(home: Path) -> None:
    """A link to a photo is one, and one that leads nowhere is listed; pipes and linked folders are not."""
    touch(home, "elsewhere/a.png")
    (home / "in").mkdir()
    (home / "in/link.png").symlink_to(home / "elsewhere/a.png")
    (home / "in/broken.png").symlink_to(home / "gone.png")
    (home / "in/folder").symlink_to(home / "elsewhere")
    os.mkfifo(home / "in/pipe.png")
    assert names(Search(Path("out")), "in") == ["broken.png", "link.png"]


@pytest.mark.posix
@pytest.mark.usefixtures("no_root")
def test_a_folder_that_cannot_be_read_is_listed(home: Path) -> None:
    touch(home / "in", "a.png", "locked/b.png")
    (home / "in/locked").chmod(0)
    findings = Search(Path("out")).find(["in"])
    (home / "in/locked").chmod(0o700)
    assert [found.name for found in findings.photos] == ["a.png"]
    assert [folder.name for folder in findings.unreadable] == ["locked"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_lists_of_windows(encoding: str) -> None:
    content = "a b.png\r\n写真.png\r\n".encode(encoding)
    assert list(paths_in_list(content)) == ["a b.png", "写真.png"]
    if encoding == "utf-16":
        with pytest.raises(InputError, match="UTF-16"):
            list(paths_in_list(content[:-1]))


@pytest.mark.parametrize(
    "folder",
    ["@eaDir/b.png", "#recycle", "$RECYCLE.BIN/S-1-5", "System Volume Information", ".Trash-1000/files",
     "lost+found", "__MACOSX", "@Recycle", "FOUND.000", ".thumbnails"],
)  # fmt: skip
def test_folders_of_systems_are_passed_over(home: Path, folder: str) -> None:
    touch(home / "in", "a.png", f"{folder}/b.png")
    assert names(Search(Path("out")), "in") == ["a.png"]
    assert names(Search(Path("out")), "in/**/*.png") == ["a.png"]
    assert names(Search(Path("out")), f"in/{folder}") == ["b.png"]


def test_stereo_and_rare_suffixes_are_photos(home: Path) -> None:
    rare = ["a.MPO", "b.jps", "c.pns", "d.jfif", "e.jpe", "f.dib"]
    touch(home / "in", *rare)
    assert names(Search(Path("out")), "in") == rare


def test_brackets_are_names_where_there_is_such_a_folder(home: Path) -> None:
    touch(home / "in[1]", "a[2].png", "a2.png")
    assert names(Search(Path("out")), "in[1]/*.png") == ["a2.png", "a[2].png"]
    assert names(Search(Path("out"), include=("a[2].png",)), "in[1]") == ["a2.png", "a[2].png"]
