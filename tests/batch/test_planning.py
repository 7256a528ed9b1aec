"""Where results go, and that no two want the same place."""

from pathlib import Path

import pytest

from defocusctl.batch.inputs import Found
from defocusctl.batch.planning import Layout, check_collisions, check_strangers
from defocusctl.batch.stamps import recorded_stamp
from defocusctl.errors import OutputError, UsageError
from tests.batch.folders import make_old, replace_unseen, write_photos
from tests.batch.recorded import done


def found(*names: str, folder: str = "in") -> list[Found]:
    return [Found(Path(folder, name), name, 0) for name in names]


def test_the_tree_is_mirrored() -> None:
    layout = Layout(Path("out"), maps=Path("out"), maps_data=True, compare=Path("shown"))
    job = layout.job(found("2024/a.JPG")[0])
    assert job.target == Path("out/2024/a.JPG")
    assert job.files("nrknet") == (
        Path("out/2024/a.JPG"),
        Path("out/2024/a_gamma.png"),
        Path("out/2024/a_blur_extent.png"),
        Path("out/2024/a_atoms.png"),
        Path("out/2024/a_maps.npz"),
        Path("shown/2024/a_compare.png"),
    )


def test_a_name_without_a_format_gets_that_of_the_content(home: Path) -> None:
    photo = write_photos(home, ["a.png"]) / "a.png"
    photo.rename(home / "scan.dat")
    assert Layout(Path("out")).job(Found(home / "scan.dat", "x/scan.dat", 0)).target == Path("out/x/scan.png")


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        (Layout(Path("out"), suffix=".png"), ("a.jpg", "a.png")),
        (Layout(Path("out")), ("x/a.jpg", "X/A.JPG")),
        (Layout(Path("out")), ("\u00e9.jpg", "e\u0301.jpg")),
        (Layout(Path("out"), compare=Path("out")), ("a.jpg", "a.png")),
        (Layout(Path("out"), compare=Path("out")), ("a.jpg", "a_compare.png")),
    ],
)
def test_two_inputs_never_claim_one_output(layout: Layout, names: tuple[str, ...]) -> None:
    jobs = [layout.job(photo) for photo in found(*names)]
    with pytest.raises(UsageError, match="both be written to"):
        check_collisions(jobs, "iniknet")
    check_collisions(jobs[:1], "iniknet")


def test_no_result_replaces_an_input(home: Path) -> None:
    write_photos(home / "in", ["a.jpg", "a.png"])
    (home / "alias").symlink_to(home / "in")
    for out in ("in", "alias"):
        with pytest.raises(OutputError, match="would replace the input"):
            check_collisions([Layout(Path(out)).job(photo) for photo in found("a.jpg")], "iniknet")


def test_files_that_no_batch_wrote_are_not_replaced(home: Path) -> None:
    write_photos(home / "out", ["a.png"])
    jobs = [Layout(Path("out")).job(photo) for photo in found("a.png", "b.png")]
    with pytest.raises(OutputError, match="1 results would replace"):
        check_strangers(jobs, "iniknet", Path("out"), set())
    check_strangers(jobs, "iniknet", Path("out"), {"a.png"})


def test_a_suffix_that_lies_is_set_right(home: Path) -> None:
    photo = write_photos(home, ["a.png"]) / "a.png"
    content = photo.read_bytes()
    for name in ("icon.jpg", "camera.jpg", "camera.PNG"):
        (home / name).write_bytes(content)
    layout = Layout(Path("out"))
    for name, result in {"icon.jpg": "icon.png", "camera.jpg": "camera.jpg.png"}.items():
        assert layout.job(Found(home / name, name, 0)).target.name == result


def test_photos_that_are_done_are_not_opened(home: Path) -> None:
    """What is in them says so: it is no photo any more, which nobody saw."""
    photo = write_photos(home, ["a.png"]) / "a.png"
    photo = photo.rename(home / "icon.jpg")
    make_old(home)
    found = Found(photo, "icon.jpg", 0)
    layout = Layout(Path("out"))
    entry = done(Path("out"), "icon.jpg", photo, {"icon.png": photo}, stamp=recorded_stamp(photo))
    converted = done(
        Path("out"),
        "icon.jpg",
        photo,
        {"icon.tif": photo},
        stamp=recorded_stamp(photo),
        settings={**entry.settings, "format": ".tif"},
    )
    assert layout.jobs([found], {"icon.jpg": converted})[0].target == Path("out/icon.png")
    replace_unseen(photo)
    assert layout.jobs([found], {"icon.jpg": entry})[0].target == Path("out/icon.png")
    assert layout.jobs([found], {})[0].target == Path("out/icon.jpg")
    photo.touch()
    assert layout.jobs([found], {"icon.jpg": entry})[0].target == Path("out/icon.jpg")
