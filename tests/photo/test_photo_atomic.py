"""Whole or not at all: nothing is left behind and nothing is overwritten by accident."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from defocusctl.errors import OutputError
from defocusctl.photo import read_photo, write_photo
from defocusctl.system import atomic
from defocusctl.system.atomic import PARTS, REMEDIES, atomic_write, remove_abandoned, write_error
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


WRITE_UNDER_A_LIMIT = """
import resource
import sys
from pathlib import Path

from defocusctl.errors import OutputError
from defocusctl.photo import Provenance, read_photo, write_photo

photo = read_photo(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
for name in sys.argv[2:]:
    try:
        write_photo(photo, photo.pixels, Path(name), provenance=Provenance("defocusctl", {}))
    except OutputError as error:
        print(error)
"""

WRITE_WITHOUT_PERMISSION = """
import os
from pathlib import Path

from defocusctl.system.atomic import REMEDIES, atomic_write, write_error
from defocusctl.errors import OutputError
from defocusctl.photo import check_writable_target

if os.geteuid() == 0:
    os.setuid(65534)  # root may write anywhere
try:
    check_writable_target(Path("photo.png"), Path("out.png"), force=False)
except OutputError as error:
    print(error)
try:
    with atomic_write(Path("out.png")):
        pass
except OutputError as error:
    print(error)
"""


def in_a_child(program: str, *arguments: str, folder: Path) -> list[str]:
    """What a program that limits itself prints, line by line."""
    command = [sys.executable, "-c", program, *arguments]
    child = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    return child.stdout.splitlines()


@pytest.mark.posix
def test_a_file_that_may_not_grow_is_one_clear_error_in_every_format(tmp_path: Path) -> None:
    source = tmp_path / "photo.png"
    source.write_bytes(files.pillow(files.scene(), "PNG"))
    names = [f"out.{suffix}" for suffix in ("png", "tif", "jpg", "webp", "avif", "bmp", "ppm")]
    lines = in_a_child(WRITE_UNDER_A_LIMIT, str(source), *names, folder=tmp_path)
    assert len(lines) == len(names)
    for name, line in zip(names, lines, strict=True):
        assert line.startswith(f"cannot write '{name}' (File too large): write to a disk that holds larger")
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_has_a_remedy(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError) as refusal:
        full.write(b"photo")
    message = str(write_error(tmp_path / "out.png", refusal.value))
    assert message == f"cannot write '{tmp_path}/out.png' (No space left on device): {REMEDIES[errno.ENOSPC]}"
    assert "free some space" in message


@pytest.mark.posix
def test_a_folder_that_may_not_be_written_is_said_before_and_after_computing(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    (folder / "photo.png").write_bytes(files.pillow(files.scene(), "PNG"))
    folder.chmod(0o555)
    early, late = in_a_child(WRITE_WITHOUT_PERMISSION, folder=folder)
    assert "is read-only" in early
    assert late == f"cannot write 'out.png' (Permission denied): {REMEDIES[errno.EACCES]}"


def test_a_path_that_is_too_long_for_windows_has_a_remedy(tmp_path: Path) -> None:
    """Windows says that it does not exist, though its folder does."""
    missing = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    assert "give a shorter path" in str(write_error(tmp_path / "out.png", missing))
    assert "create the folder" in str(write_error(tmp_path / "missing" / "out.png", missing))


@pytest.mark.parametrize("number", REMEDIES)
def test_remedies_name_no_option_that_only_one_command_has(number: int) -> None:
    message = str(write_error(Path("out.png"), OSError(number, os.strerror(number))))
    assert os.strerror(number) in message and " -o" not in message and "--out" not in message


@pytest.mark.posix
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


def test_only_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".defocusctl-0123.part"
    left.write_bytes(b"left")
    target = tmp_path / "out.bin"
    with atomic_write(target) as handle:
        handle.write(b"whole")
        remove_abandoned(tmp_path)
        assert not left.exists()
        assert len(list(tmp_path.iterdir())) == 1
    assert target.read_bytes() == b"whole"


def test_another_process_does_not_remove_it(tmp_path: Path) -> None:
    imports = "from pathlib import Path; from defocusctl.system.atomic import remove_abandoned"
    script = f"{imports}; remove_abandoned(Path({str(tmp_path)!r}))"
    with atomic_write(tmp_path / "out.bin") as handle:
        handle.write(b"whole")
        subprocess.run([sys.executable, "-c", script], check=True)
    assert (tmp_path / "out.bin").read_bytes() == b"whole"


def test_where_files_cannot_be_locked_only_old_ones_are_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows."""
    monkeypatch.setattr(atomic, "LOCKS", False)
    old, new = (tmp_path / PARTS.replace("*", name) for name in ("old", "new"))
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    with atomic_write(tmp_path / "out.bin") as handle:
        remove_abandoned(tmp_path)
        handle.write(b"whole")
    assert (tmp_path / "out.bin").read_bytes() == b"whole"
    assert sorted(tmp_path.iterdir()) == sorted([new, tmp_path / "out.bin"])
