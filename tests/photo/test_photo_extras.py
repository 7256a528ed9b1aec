"""Formats that need a further package: known in one place, hinted at in one line, never a crash."""

import subprocess
import sys
from pathlib import Path

import pytest

from defocusctl.data.pairs import photos_in
from defocusctl.errors import InputError, OutputError
from defocusctl.photo import check_is_photo, output_path, read_photo, write_photo
from defocusctl.photo.header import EXTRAS, HEIC, JPEG_XL, missing_package
from defocusctl.photo.targets import SUFFIXES
from tests.photo import extra_files as extra
from tests.photo import photo_files as files

SEEDS = {
    "heic": extra.heic(files.scene(), exif=b"Exif\0\0" + files.exif_block(), icc_profile=files.ICC),
    "heic-10": extra.heic(files.scene(channels=4, dtype="uint16") >> 6, 10, lossless=True),
    "jxl": extra.jxl(files.scene(), extra.box(b"Exif", bytes(4) + files.exif_block())),
    "dng": extra.dng(extra.smooth_scene(24, 40)),
}
MUTANTS = 600
WITHOUT = """
import sys
from importlib.machinery import PathFinder
from pathlib import Path

modules, find_spec = {modules}, PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name in modules else find_spec(name, *rest)
from defocusctl.errors import DefocusctlError
from defocusctl.photo import check_is_photo, check_writable_target, read_photo

for action in {actions}:
    try:
        eval(action)
    except DefocusctlError as error:
        print(error.exit_code, error)
"""


def test_every_extra_has_suffixes_and_folders_list_them(tmp_path: Path) -> None:
    assert EXTRAS.keys() <= SUFFIXES.keys()
    for suffixes in (SUFFIXES[kind] for kind in EXTRAS):
        for suffix in suffixes:
            (tmp_path / f"photo{suffix.upper()}").touch()
    assert len(photos_in(tmp_path)) == sum(len(SUFFIXES[kind]) for kind in EXTRAS)


@pytest.mark.parametrize(("name", "suffix"), [("heic", ".heic"), ("jxl", ".jxl"), ("dng", ".tif")])
def test_the_content_names_the_format_not_the_suffix(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(SEEDS[name])
    check_is_photo(path)
    assert output_path(path, None).name == f"photo_deblurred{suffix}"
    (note,) = read_photo(path).warnings
    assert note.startswith("its name ends in .png but it is ")


def test_a_missing_package_is_one_line_with_the_command(tmp_path: Path) -> None:
    for name in ("heic", "jxl", "dng"):
        (tmp_path / f"photo.{name}").write_bytes(SEEDS[name])
    heic, jxl, dng = (Path(f"{tmp_path}/photo.{name}") for name in ("heic", "jxl", "dng"))
    actions = [
        f"check_is_photo(Path({str(heic)!r}))",
        f"check_is_photo(Path({str(jxl)!r}))",
        f"read_photo(Path({str(dng)!r}))",
        f"check_writable_target(Path({str(dng)!r}), Path({str(tmp_path / 'out.jxl')!r}), force=False)",
        f"check_writable_target(Path({str(dng)!r}), Path({str(tmp_path / 'out.tif')!r}), force=False)",
    ]
    modules = {extra.module for extra in EXTRAS.values()}
    code = WITHOUT.format(modules=modules, actions=actions)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [(line[:1], line.partition("install it with: ")[2]) for line in done.stdout.splitlines()] == [
        (str(InputError.exit_code), "pip install 'defocusctl[heif]'"),
        (str(InputError.exit_code), "pip install 'defocusctl[jxl]'"),
        (str(InputError.exit_code), "pip install 'defocusctl[raw]'"),
        (str(OutputError.exit_code), "pip install 'defocusctl[jxl]'"),
    ]
    assert done.stderr == ""


def test_where_there_is_no_package_to_install_the_hint_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr("defocusctl.photo.header.find_spec", lambda _: None)
    lack = missing_package(JPEG_XL)
    assert lack is not None
    assert "no build for Linux aarch64" in lack[0]
    assert "pip" not in lack[1]
    lack = missing_package(HEIC)
    assert lack is not None
    assert lack[1].endswith("pip install 'defocusctl[heif]'")


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_mutants_give_a_photo_or_an_input_error(name: str, tmp_path: Path) -> None:
    outcomes = {True: 0, False: 0}
    for index, (_, data) in enumerate(files.mutants({name: SEEDS[name]}, MUTANTS // len(SEEDS), seed=7)):
        try:
            photo = read_photo(data, max_megapixels=0.5)
        except InputError as error:
            assert error.cause and error.remedy and "\n" not in str(error), name
            outcomes[False] += 1
            continue
        outcomes[True] += 1
        assert photo.size.pixels <= 0.5e6
        if index % 20 == 0:
            target = tmp_path / f"{index}.jxl"
            write_photo(photo, photo.pixels, target, provenance=files.PROVENANCE)
            assert read_photo(target).size == photo.size
    assert min(outcomes.values()) > 5
