"""The wheel and the sdist, built from this checkout and installed where nothing else is."""

import filecmp
import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "defocusctl"
LARGEST_WHEEL = 20e6  # bytes
NOT_PUBLISHED = {"__pycache__"}
WORKED_ON = ("benchmarks", "docs", "integrations", "man", "recipes", "samples", "scripts", "src", "tests")
"""The folders that an sdist needs for ``make demo``, ``make test`` and the documentation."""


class Packages(NamedTuple):
    wheel: Path
    sdist: Path


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """Both packages as a release has them: the wheel is built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Packages(wheel, sdist)


def installed(package: Path, folder: Path) -> Path:
    """A new environment with this package, and of this environment only the libraries; its ``site-packages``.

    Lines of a ``.pth`` file are only added to the path; the ``.pth`` files of those folders, such as the one
    of this checkout, are not looked at.
    """
    venv.create(folder, symlinks=os.name != "nt")
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    libraries = dict.fromkeys(map(sysconfig.get_path, ("purelib", "platlib")))
    (site / "libraries.pth").write_text("\n".join(libraries), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", folder, "--disable-pip-version-check", "install"]
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed"]
    subprocess.run([*pip, *options, package], check=True, capture_output=True, env=environment())
    return site


def environment() -> dict[str, str]:
    """This process's environment without the path to this checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def source_files(folder: Path) -> set[str]:
    """The files below a folder, relative to it."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if not NOT_PUBLISHED & set(path.parts)}


def test_both_are_accepted_by_the_index(packages: Packages) -> None:
    check = [sys.executable, "-m", "twine", "check", "--strict", *packages]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_wheel_has_the_whole_package_and_stays_small(packages: Packages) -> None:
    with zipfile.ZipFile(packages.wheel) as wheel:
        names = set(wheel.namelist())
    inside = {name.removeprefix("defocusctl/") for name in names if name.startswith("defocusctl/")}
    assert inside == source_files(SOURCE) | {"weights.toml"}
    assert packages.wheel.stat().st_size < LARGEST_WHEEL


def test_the_sdist_has_what_the_checkout_has(packages: Packages) -> None:
    with tarfile.open(packages.sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers()}
    for folder in WORKED_ON:
        assert {f"{folder}/{name}" for name in source_files(ROOT / folder)} <= names
    top = {path.name for path in ROOT.iterdir() if path.is_file() and path.name not in (".git", "PKG-INFO")}
    assert top <= names
    assert ".ci/run" in names


def test_the_installed_wheel_deblurs_a_sample(packages: Packages, home: Path) -> None:
    site = installed(packages.wheel, home / "clean")
    script = Path(sysconfig.get_path("scripts", "venv", {"base": str(home / "clean")})) / "defocusctl"
    with Image.open(ROOT / "samples" / "circuit-board.png") as sample:
        sample.crop((200, 200, 328, 328)).save("photo.png")

    shown = subprocess.run([script, "--help"], capture_output=True, text=True, env=environment(), check=True)
    assert "deblur" in shown.stdout
    options = ["--offline", "--weights", "bundled", "--json"]
    done = subprocess.run(
        [script, "deblur", "photo.png", *options], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["weights"]["source"] == "bundled"
    with Image.open("photo.png") as before, Image.open("photo_deblurred.png") as after:
        assert detail(after) > detail(before)
    assert (site / "defocusctl" / "weights.toml").is_file()
    assert (home / "clean" / "share" / "man" / "man1" / "defocusctl.1").is_file()


def detail(picture: Image.Image) -> float:
    """The mean difference of neighbouring pixels."""
    return float(np.abs(np.diff(np.asarray(picture.convert("L"), dtype=np.float64))).mean())


def test_the_sdist_installs_the_same_files(packages: Packages, tmp_path: Path) -> None:
    site = installed(packages.sdist, tmp_path)
    files = source_files(SOURCE)
    same, differing, missing = filecmp.cmpfiles(site / "defocusctl", SOURCE, files, shallow=False)
    assert (set(same), differing, missing) == (files, [], [])
    assert source_files(site / "defocusctl") == files | {"weights.toml"}
