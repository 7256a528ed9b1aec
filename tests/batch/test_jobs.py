"""Where results go, and that no two want the same place."""

from pathlib import Path
from typing import Any

import pytest

from defocusctl.batch.inputs import FoundPhoto
from defocusctl.batch.jobs import BatchOptions, check_collisions, check_foreign, plan
from defocusctl.batch.manifest import Entry, recorded_stamp
from defocusctl.errors import OutputError, UsageError
from tests.batch.folders import make_old, replace_unseen, write_photos
from tests.batch.recorded import done, job_of


def found(*names: str, folder: str = "in") -> list[FoundPhoto]:
    return [FoundPhoto(str(Path(folder, name)), name) for name in names]


def test_the_tree_is_mirrored() -> None:
    drawn = {"maps": Path("out"), "maps_data": True, "compare": Path("shown")}
    job = job_of(found("2024/a.JPG")[0], **drawn)
    assert job.target == Path("out/2024/a.JPG")
    assert job.files("nrknet") == (
        Path("out/2024/a.JPG"),
        Path("out/2024/a_blur_radius.png"),
        Path("out/2024/a_gamma.png"),
        Path("out/2024/a_atoms.png"),
        Path("out/2024/a_maps.npz"),
        Path("shown/2024/a_compare.png"),
    )


def test_a_name_without_a_format_gets_that_of_the_content(home: Path) -> None:
    photo = write_photos(home, ["a.png"]) / "a.png"
    photo.rename(home / "scan.dat")
    assert job_of(FoundPhoto(str(home / "scan.dat"), "x/scan.dat")).target == Path("out/x/scan.png")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"format": ".png"}, ("a.jpg", "a.png")),
        ({}, ("x/a.jpg", "X/A.JPG")),
        ({}, ("\u00e9.jpg", "e\u0301.jpg")),
        ({"compare": Path("out")}, ("a.jpg", "a.png")),
        ({"compare": Path("out")}, ("a.jpg", "a_compare.png")),
    ],
)
def test_two_inputs_never_have_one_output(options: dict[str, Any], names: tuple[str, ...]) -> None:
    jobs = [job_of(photo, **options) for photo in found(*names)]
    with pytest.raises(UsageError, match="both be written to"):
        check_collisions(jobs, "iniknet")
    check_collisions(jobs[:1], "iniknet")


@pytest.mark.posix
def test_no_result_replaces_an_input(home: Path) -> None:
    write_photos(home / "in", ["a.jpg", "a.png"])
    (home / "alias").symlink_to(home / "in")
    for out in ("in", "alias"):
        with pytest.raises(OutputError, match="would replace the input"):
            check_collisions([job_of(photo, out) for photo in found("a.jpg")], "iniknet")


def test_files_that_no_batch_wrote_are_not_replaced(home: Path) -> None:
    write_photos(home / "out", ["a.png"])
    jobs = [job_of(photo) for photo in found("a.png", "b.png")]
    with pytest.raises(OutputError, match="results would replace"):
        check_foreign(jobs, "iniknet", Path("out"), set())
    check_foreign(jobs, "iniknet", Path("out"), {"a.png"})


def test_a_suffix_that_lies_is_set_right(home: Path) -> None:
    photo = write_photos(home, ["a.png"]) / "a.png"
    content = photo.read_bytes()
    for name in ("icon.jpg", "camera.jpg", "camera.PNG"):
        (home / name).write_bytes(content)
    for name, result in {"icon.jpg": "icon.png", "camera.jpg": "camera.jpg.png"}.items():
        assert job_of(FoundPhoto(str(home / name), name)).target.name == result


def test_photos_that_are_done_are_not_opened(home: Path) -> None:
    """What is in them says so: it is not a photo any more, which nobody saw."""
    photo = write_photos(home, ["a.png"]) / "a.png"
    photo = photo.rename(home / "icon.jpg")
    make_old(home)
    found = FoundPhoto(str(photo), "icon.jpg")
    entry = done(Path("out"), "icon.jpg", photo, {"icon.png": photo}, stamp=recorded_stamp(photo))
    converted = done(
        Path("out"),
        "icon.jpg",
        photo,
        {"icon.tif": photo},
        stamp=recorded_stamp(photo),
        settings={**entry.settings, "format": ".tif"},
    )

    def target(entries: dict[str, Entry]) -> Path:
        return plan([found], BatchOptions("iniknet"), Path("out"), entries)[0].target

    assert target({"icon.jpg": converted}) == Path("out/icon.png")
    replace_unseen(photo)
    assert target({"icon.jpg": entry}) == Path("out/icon.png")
    assert target({}) == Path("out/icon.jpg")
    photo.touch()
    assert target({"icon.jpg": entry}) == Path("out/icon.jpg")
