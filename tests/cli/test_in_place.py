"""``deblur --in-place``: the result takes the photo's place, and the original is kept beside it."""

import errno
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from defocusctl.errors import ExitCode
from defocusctl.photo import Provenance, read_photo, write_photo
from tests.batch.killing import Starter
from tests.cli.command import Answer, defocusctl, photo_file, small_weights, textured
from tests.cli.test_outputs import files
from tests.photo.extra_files import dng, smooth_scene
from tests.photo.test_photo_atomic import in_a_child

pytestmark = pytest.mark.usefixtures("home")

MOMENTS = (
    ("c_call", "network"),
    ("c_call", "fsync"),
    ("c_call", "link"),
    ("c_return", "link"),
    ("c_call", "replace"),
    ("c_return", "replace"),
)


def deep_tiff(path: Path) -> Path:
    """A photo as editors pass it on: 16 bits and a word about its author."""
    author = (315, 2, 0, "Me", True)
    pixels = textured(48, 64).astype(np.uint16) * 257
    tifffile.imwrite(path, pixels, photometric="rgb", compression="deflate", extratags=[author])
    return path


def in_place(home: Path, *arguments: object) -> Answer:
    return defocusctl("deblur", "--in-place", *arguments, "--weights", small_weights(home, "iniknet"))


@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "tif", "webp", "bmp", "ppm", "pgm", "avif", "heic", "jxl", "JPEG"]
)
def test_every_format_that_is_written(home: Path, suffix: str) -> None:
    photo, expected = home / f"photo.{suffix}", home / f"expected.{suffix}"
    source = read_photo(photo_file(home / "source.png"))
    if suffix == "pgm":
        photo.write_bytes(b"P5 64 48 255 " + textured(48, 64)[:, :, 0].tobytes())
    else:
        write_photo(source, source.pixels, photo, provenance=Provenance("a test", {}))
    before = photo.read_bytes()
    answer = defocusctl("deblur", photo, "-o", expected, "--weights", small_weights(home, "iniknet"))
    assert answer.code == ExitCode.OK, answer.err
    answer = in_place(home, photo)
    assert answer.code == ExitCode.OK, answer.err
    assert photo.read_bytes() == expected.read_bytes() != before
    assert (home / f"photo.orig.{suffix}").read_bytes() == before


@pytest.mark.posix
def test_what_an_editor_is_given_stays(home: Path) -> None:
    photo = deep_tiff(home / "photo.tif")
    photo.chmod(0o640)
    before = photo.read_bytes()
    answer = in_place(home, photo, "--json", "--compare")
    assert answer.code == ExitCode.OK, answer.err
    report = json.loads(answer.out)
    assert (report["output"], report["backup"]) == (str(photo), str(home / "photo.orig.tif"))
    with tifffile.TiffFile(photo) as result:
        assert result.asarray().dtype == np.uint16
        assert result.pages.first.tags["Artist"].value == "Me"
        assert result.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
    assert (home / "photo.orig.tif").read_bytes() == before != photo.read_bytes()
    assert (photo.stat().st_mode & 0o777, (home / "photo_compare.png").is_file()) == (0o640, True)


@pytest.mark.posix
def test_a_link_stays_a_link(home: Path) -> None:
    (home / "album").mkdir()
    photo = photo_file(home / "album" / "photo.png")
    before = photo.read_bytes()
    (home / "link.png").symlink_to(photo)
    assert in_place(home, "link.png").code == ExitCode.OK
    assert (home / "link.png").is_symlink()
    assert (home / "album" / "photo.orig.png").read_bytes() == before != photo.read_bytes()


@pytest.mark.posix
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["a.png", "-o", "b.png"], ExitCode.USAGE, "--output is not for --in-place"),
        (["a.png", "--region", "8x8+0+0"], ExitCode.USAGE, "--region is not for --in-place"),
        (["-"], ExitCode.USAGE, "--in-place needs a file"),
        (["kept.png", "--force"], ExitCode.OUTPUT, "'kept.orig.png' exists already"),
        (["dangling.png"], ExitCode.OUTPUT, "'dangling.orig.png' exists already"),
        (["wrong.tif"], ExitCode.OUTPUT, "'wrong.tif' would become a .png file"),
        (["a.png", "a.png"], ExitCode.USAGE, "several results would be written to 'a.png'"),
        (["a.png", "same.png"], ExitCode.USAGE, "several results would be written to"),
        (["a.png", "--mask", "a.png"], ExitCode.OUTPUT, "would replace an input"),
        (["a.png", "--compare-to", "a.png", "--force"], ExitCode.USAGE, "several results"),
        (["a.png", "--compare-to", "a.orig.png", "--force"], ExitCode.USAGE, "several results"),
    ],
)
def test_nothing_runs_that_would_lose_something(
    home: Path, arguments: list[str], code: ExitCode, said: str
) -> None:
    for name in ("a.png", "kept.png", "dangling.png"):
        photo_file(home / name)
    (home / "wrong.tif").write_bytes((home / "a.png").read_bytes())
    (home / "same.png").symlink_to("a.png")
    (home / "kept.orig.png").write_bytes(b"mine")
    (home / "dangling.orig.png").symlink_to("nothing")
    before = files(home)
    answer = defocusctl("deblur", "--in-place", *arguments, "--weights", "never-looked-for")
    (line,) = answer.err.splitlines()
    assert (answer.code, said in line) == (code, True), line
    assert files(home) == before


def test_a_backup_that_appears_meanwhile_is_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, backup = photo_file(home / "photo.png"), home / "photo.orig.png"
    before = photo.read_bytes()
    link = os.link

    def late(source: Path, target: Path) -> None:
        backup.write_bytes(b"theirs")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    answer = in_place(home, photo)
    assert answer.code == ExitCode.OUTPUT and "'photo.orig.png' exists" in answer.err.replace(f"{home}/", "")
    assert (photo.read_bytes(), backup.read_bytes()) == (before, b"theirs")
    assert list(home.glob(".defocusctl-*")) == []


def test_a_file_system_without_hard_links(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    photo = photo_file(home / "photo.png")
    os.utime(photo, ns=(5, 5 * 10**9))
    before = photo.read_bytes()
    assert in_place(home, photo).code == ExitCode.OK
    backup = home / "photo.orig.png"
    assert backup.read_bytes() == before != photo.read_bytes()
    assert backup.stat().st_mtime_ns == 5 * 10**9
    again = in_place(home, photo)
    assert again.code == ExitCode.OUTPUT and backup.read_bytes() == before


def test_a_photo_that_cannot_be_replaced_leaves_no_backup(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows while another program has it open."""
    photo = photo_file(home / "photo.png")
    before = photo.read_bytes()

    def busy(part: Path, target: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    weights = small_weights(home, "iniknet")
    monkeypatch.setattr(Path, "replace", busy)
    answer = defocusctl("deblur", "--in-place", photo, "--weights", weights)
    assert answer.code == ExitCode.OUTPUT and "cannot write" in answer.err
    assert files(home) == {"photo.png": before, weights.name: weights.read_bytes()}


WITHOUT_PERMISSION = """
import os
from pathlib import Path

from defocusctl.errors import OutputError
from defocusctl.photo import backup_path, check_replaceable

if os.geteuid() == 0:
    os.setuid(65534)  # root may write anywhere
for photo in Path("folder/photo.png"), Path("photo.png"):
    try:
        check_replaceable(photo, backup_path(photo))
    except OutputError as error:
        print(error)
"""


@pytest.mark.posix
@pytest.mark.skipif(os.name != "posix", reason="needs permissions of POSIX")
def test_where_no_backup_can_be_made_nothing_is_computed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "folder").mkdir()
    for path, mode in ((tmp_path / "folder" / "photo.png", 0o666), (tmp_path / "photo.png", 0o444)):
        photo_file(path).chmod(mode)
    (tmp_path / "folder").chmod(0o555)
    lines = in_a_child(WITHOUT_PERMISSION, folder=tmp_path)
    assert lines == [
        "the folder 'folder' is read-only: change its permissions, or use another folder",
        "'photo.png' is read-only: change its permissions, or leave out --in-place",
    ]


@pytest.mark.slow
def test_the_command_for_editors_without_options(home: Path) -> None:
    photo, weights = photo_file(home / "photo.png"), small_weights(home, "iniknet")
    before = photo.read_bytes()
    program = "from defocusctl.__main__ import edit\nedit()"
    command = [sys.executable, "-c", program, photo, "--weights", weights]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == ExitCode.OK, done.stderr
    assert (home / "photo.orig.png").read_bytes() == before != photo.read_bytes()


@pytest.fixture
def starter() -> Iterator[Starter]:
    ready = Starter()
    yield ready
    ready.close()


def is_the_same(result: bytes, other: bytes) -> bool:
    """Whether two results are the same TIFF but for the last bit: the number of threads follows the load."""
    one, two = (tifffile.imread(io.BytesIO(data)).astype(int) for data in (result, other))
    return bool(np.abs(one - two).max() <= 1)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs fork and kill")
def test_killed_at_any_moment(home: Path, starter: Starter) -> None:
    """The photo is the old one or the new one, whole, and the new one only beside a backup of the old."""
    photo, backup = deep_tiff(home / "photo.tif"), home / "photo.orig.tif"
    weights = small_weights(home, "iniknet")
    arguments = ("deblur", "--in-place", "photo.tif", "--weights", weights.name, "--offline", "--quiet")
    old = photo.read_bytes()
    calls, code = starter.run(None, *arguments)
    new = photo.read_bytes()
    assert code == 0 and new != old and backup.read_bytes() == old
    random_calls = random.Random(7)
    ends: list[int | tuple[str, str]] = [*MOMENTS]
    ends += [random_calls.randint(calls // 10, calls) for _ in range(8)]
    found = []
    for end in ends:
        backup.unlink(missing_ok=True)
        photo.write_bytes(old)
        _, code = starter.run(end, *arguments)
        assert code < 0 or isinstance(end, int)
        found.append((is_the_same(photo.read_bytes(), new), backup.exists()))
        assert found[-1][0] or photo.read_bytes() == old
        assert backup.read_bytes() == old if backup.exists() else photo.read_bytes() == old
    nothing, linked, done = (False, False), (False, True), (True, True)
    assert found[: len(MOMENTS)] == [nothing, linked, nothing, linked, linked, done]


def test_a_raw_called_tif_stays(home: Path) -> None:
    photo = home / "EOS1D.TIF"
    photo.write_bytes(before := dng(smooth_scene()))
    answer = in_place(home, photo)
    assert answer.code == ExitCode.OUTPUT
    assert "is a camera RAW" in answer.err
    assert photo.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="needs extended attributes")
def test_extended_attributes_stay(home: Path) -> None:
    photo = photo_file(home / "photo.png")
    try:
        os.setxattr(photo, "user.xdg.tags", b"holiday")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    assert in_place(home, photo).code == ExitCode.OK
    assert os.getxattr(photo, "user.xdg.tags") == b"holiday"
