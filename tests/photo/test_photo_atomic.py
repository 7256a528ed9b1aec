"""Whole or not at all: nothing is left behind and nothing is overwritten by accident."""

import errno
import os
from pathlib import Path

import pytest

from defocusctl.atomic import atomic_write
from defocusctl.errors import OutputError
from defocusctl.photo import read_photo, write_photo
from tests.photo import photo_files as files


def test_the_target_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "out.bin"
    with atomic_write(target) as handle:
        handle.write(b"whole")
        assert not target.exists() and len(list(tmp_path.iterdir())) == 1
    assert target.read_bytes() == b"whole" and list(tmp_path.iterdir()) == [target]
    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_any_exception_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "out.bin"
    with pytest.raises(error), atomic_write(target) as handle:
        handle.write(b"half")
        raise error
    assert list(tmp_path.iterdir()) == []
    target.write_bytes(b"before")
    with pytest.raises(error), atomic_write(target, force=True) as handle:
        handle.write(b"half")
        raise error
    assert target.read_bytes() == b"before" and list(tmp_path.iterdir()) == [target]


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    target = tmp_path / "out.bin"
    with pytest.raises(OutputError, match="exists already"), atomic_write(target) as handle:
        handle.write(b"new")
        target.write_bytes(b"made meanwhile by another process")
    assert target.read_bytes().startswith(b"made meanwhile") and list(tmp_path.iterdir()) == [target]
    with atomic_write(target, force=True) as handle:
        handle.write(b"new")
    assert target.read_bytes() == b"new"


def test_file_systems_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "out.bin"
    with atomic_write(target) as handle:
        handle.write(b"first")
    with pytest.raises(OutputError, match="exists already"), atomic_write(target) as handle:
        handle.write(b"second")
    assert target.read_bytes() == b"first" and list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open = Path.open

    def open_full(path: Path, mode: str) -> object:
        return real_open(Path("/dev/full"), "r+b") if mode == "x+b" else real_open(path, mode)

    monkeypatch.setattr(Path, "open", open_full)
    photo = read_photo(files.pillow(files.scene(), "PNG"))
    for name in ("out.png", "out.tif", "out.jpg", "out.webp", "out.avif", "out.bmp", "out.ppm"):
        with pytest.raises(OutputError, match=r"No space left on device.*free some space"):
            write_photo(photo, photo.pixels, tmp_path / name, provenance=files.PROVENANCE)
    assert list(tmp_path.iterdir()) == []


def test_refusals_of_the_system(tmp_path: Path) -> None:
    for name, reason in (("missing/out.png", "create the folder"), ("n" * 300, "File name too long")):
        with pytest.raises(OutputError, match=reason), atomic_write(tmp_path / name):
            pass
    with (
        pytest.raises(OutputError, match="not an ordinary file"),
        atomic_write(Path("/dev/null"), force=True),
    ):
        pass


def test_write_photo_refuses_and_forces(tmp_path: Path) -> None:
    photo = read_photo(files.pillow(files.scene(), "PNG"))
    target = tmp_path / "out.png"
    write_photo(photo, photo.pixels, target, provenance=files.PROVENANCE)
    with pytest.raises(OutputError, match="--force"):
        write_photo(photo, photo.pixels, target, provenance=files.PROVENANCE)
    write_photo(photo, photo.pixels, target, provenance=files.PROVENANCE, force=True)
    assert list(tmp_path.iterdir()) == [target]
