"""``defocusctl deblur``, as a user types it, with real networks of few channels."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from defocusctl.errors import ExitCode, OutputError
from defocusctl.photo import icc
from tests.cli.command import defocusctl, photo_file, small_weights
from tests.photo import photo_files

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize("model", ["iniknet", "nrknet"])
def test_a_photo_gets_a_deblurred_sibling(home: Path, model: str) -> None:
    photo = photo_file(home / "photo.jpg")
    before = photo.read_bytes()
    answer = defocusctl("deblur", photo, "-m", model, "--weights", small_weights(home, model))
    assert answer.code == ExitCode.OK, answer.err
    assert "photo_deblurred.jpg" in answer.err
    assert photo.read_bytes() == before
    with Image.open(home / "photo_deblurred.jpg") as result:
        assert result.format == "JPEG"
        assert result.size == (64, 48)


def test_json_is_all_there_is_on_stdout(home: Path) -> None:
    photos = [photo_file(home / "a.png"), photo_file(home / "b.png", 32, 40)]
    answer = defocusctl("deblur", *photos, "--weights", small_weights(home, "iniknet"), "--json", "-q")
    objects = [json.loads(line) for line in answer.out.splitlines()]
    assert [Path(item["input"]).name for item in objects] == ["a.png", "b.png"]
    assert set(objects[0]) >= {
        "input", "output", "model", "weights", "device", "precision", "tile", "overlap",
        "seconds", "megapixels", "peak_memory", "warnings",
    }  # fmt: skip
    assert set(objects[0]["weights"]) >= {"name", "hash", "source"}
    assert objects[0]["megapixels"] == pytest.approx(48 * 64 / 1e6)


def test_one_that_fails_does_not_stop_the_others(home: Path) -> None:
    good = photo_file(home / "good.png")
    bad = home / "bad.png"
    bad.write_bytes(good.read_bytes()[:200])
    text = home / "notes.txt"
    text.write_text("no photo")
    answer = defocusctl(
        "deblur", bad, text, home / "gone.png", good, "--weights", small_weights(home, "iniknet")
    )
    assert answer.code == ExitCode.SOME_FAILED
    assert (home / "good_deblurred.png").exists()
    errors = [line for line in answer.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 4  # one line each, and the sum
    assert "3 of 4 inputs failed" in errors[-1]


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: path.write_bytes(b""), ExitCode.INPUT),
        (lambda path: path.write_text("text"), ExitCode.INPUT),
        (lambda path: path.mkdir(), ExitCode.INPUT),
        (lambda path: None, ExitCode.INPUT),
    ],
)
def test_bad_input_is_one_line(home: Path, make: object, code: ExitCode) -> None:
    path = home / "photo.jpg"
    make(path)  # type: ignore[operator]
    answer = defocusctl("deblur", path, "--weights", small_weights(home, "iniknet"))
    assert answer.code == code
    assert len(answer.err.splitlines()) == 1
    assert "photo.jpg" in answer.err
    assert list(home.glob("*_deblurred*")) == []


def test_outputs_are_never_overwritten_without_force(home: Path) -> None:
    photo = photo_file(home / "photo.png")
    weights = small_weights(home, "iniknet")
    taken = home / "photo_deblurred.png"
    taken.write_text("mine")
    answer = defocusctl("deblur", photo, "--weights", weights)
    assert answer.code == ExitCode.OUTPUT
    assert taken.read_text() == "mine"
    assert defocusctl("deblur", photo, "--weights", weights, "--force").code == ExitCode.OK
    with Image.open(taken) as result:
        assert result.size == (64, 48)


def test_a_folder_that_ends_in_a_slash_is_made(home: Path) -> None:
    photo, weights = photo_file(home / "photo.png"), small_weights(home, "iniknet")
    answer = defocusctl("deblur", photo, "-o", "new/folder/", "--weights", weights)
    assert answer.code == ExitCode.OK, answer.err
    assert (home / "new" / "folder" / "photo_deblurred.png").is_file()


def test_a_failed_picture_does_not_hide_the_finished_photo(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OutputError("cannot write 'c.png' (No space left on device)", "free some space")

    monkeypatch.setattr("defocusctl.deblurrer.outputs.write_comparison", fail)
    photos = [photo_file(home / name) for name in ("a.png", "b.png")]
    answer = defocusctl("deblur", *photos, "--compare", "--weights", small_weights(home, "iniknet"))
    assert answer.code == ExitCode.SOME_FAILED
    assert answer.err.count("; the deblurred photo itself is written: free some space") == 2
    assert "nothing was written" not in answer.err
    assert (home / "a_deblurred.png").is_file()


def test_ctrl_c_is_reported_for_each_input_in_json(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    weights = small_weights(home, "iniknet")
    photos = [photo_file(home / name) for name in ("a.png", "b.png")]
    monkeypatch.setattr("defocusctl.deblurrer.outputs.deblur_photo", interrupt)
    answer = defocusctl("deblur", *photos, "--json", "--weights", weights)
    assert answer.code == ExitCode.INTERRUPTED
    found = [json.loads(line) for line in answer.out.splitlines()]
    assert [(each["input"], each["exit_code"]) for each in found] == [(str(path), 130) for path in photos]


def test_the_input_is_never_the_output(home: Path) -> None:
    photo = photo_file(home / "photo.png")
    before = photo.read_bytes()
    answer = defocusctl("deblur", photo, "-o", photo, "--force", "--weights", small_weights(home, "iniknet"))
    assert answer.code == ExitCode.OUTPUT
    assert photo.read_bytes() == before


def test_a_picture_is_not_drawn_over_the_input(home: Path) -> None:
    photo = photo_file(home / "photo.png")
    before = photo.read_bytes()
    weights = small_weights(home, "iniknet")
    answer = defocusctl("deblur", photo, "--compare-to", photo, "--force", "--weights", weights)
    assert answer.code == ExitCode.OUTPUT
    assert photo.read_bytes() == before


def test_two_inputs_cannot_claim_one_output(home: Path) -> None:
    for folder in ("one", "two"):
        (home / folder).mkdir()
        photo_file(home / folder / "photo.png")
    (home / "out").mkdir()
    answer = defocusctl("deblur", "one/photo.png", "two/photo.png", "-o", "out")
    assert answer.code == ExitCode.USAGE
    assert list((home / "out").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "pictures"),
    [("iniknet", {"mu", "omega", "blur_radius", "atoms", "compare"}),
     ("nrknet", {"gamma", "blur_radius", "atoms", "compare"})],
)  # fmt: skip
def test_maps_and_comparison_appear_beside_the_output(home: Path, model: str, pictures: set[str]) -> None:
    photo = photo_file(home / "photo.png")
    weights = small_weights(home, model)
    arguments = ("-m", model, "--weights", weights, "--maps-data", "maps.npz", "--maps", "--compare")
    answer = defocusctl("deblur", photo, *arguments)
    assert answer.code == ExitCode.OK, answer.err
    found = {path.stem.removeprefix("photo_deblurred_") for path in home.glob("photo_deblurred_*.png")}
    assert found == pictures
    with np.load(home / "maps.npz") as arrays:
        assert arrays["blur_radius"].shape == (48, 64)


def test_a_region_is_the_same_part_of_the_whole(home: Path) -> None:
    photo = photo_file(home / "photo.png", 96, 128)
    weights = small_weights(home, "iniknet")
    assert defocusctl("deblur", photo, "--weights", weights, "--precision", "fp32").code == ExitCode.OK
    answer = defocusctl(
        "deblur", photo, "--weights", weights, "--precision", "fp32", "--region", "40x30+50+20"
    )
    assert answer.code == ExitCode.OK, answer.err
    whole = np.asarray(Image.open(home / "photo_deblurred.png")).astype(int)
    part = np.asarray(Image.open(home / "photo_deblurred_40x30+50+20.png")).astype(int)
    assert np.abs(part - whole[20:50, 50:90]).max() <= 1


@pytest.mark.parametrize("region", ["banana", "0x10+0+0", "100x100+0+0"])
def test_a_region_that_cannot_be_is_refused(home: Path, region: str) -> None:
    photo = photo_file(home / "photo.png")
    answer = defocusctl("deblur", photo, "--region", region, "--weights", small_weights(home, "iniknet"))
    assert answer.code in (ExitCode.USAGE, ExitCode.INPUT)
    assert len(answer.err.splitlines()) == 1


def test_the_white_of_floating_point_photos(home: Path) -> None:
    weights = small_weights(home, "iniknet")
    with Image.open(photo_file(home / "photo.png")) as image:
        pixels = np.asarray(image)
    tifffile.imwrite(home / "photo.tif", pixels.astype(np.float32), photometric="rgb")
    refused = defocusctl("deblur", "photo.tif", "--weights", weights)
    assert refused.code == ExitCode.INPUT and "--white VALUE" in refused.err
    answer = defocusctl("deblur", "photo.png", "photo.tif", "--weights", weights, "--white", 255)
    assert answer.code == ExitCode.OK and "warning" not in answer.err, answer.err
    with Image.open(home / "photo_deblurred.png") as image:
        expected = np.asarray(image).astype(float)
    assert np.abs(tifffile.imread(home / "photo_deblurred.tif") - expected).max() <= 0.501
    assert not np.array_equal(expected, pixels)
    assert defocusctl("deblur", "photo.tif", "--white", 0).code == ExitCode.USAGE


def test_a_comparison_of_a_grey_photo_has_no_grey_profile(home: Path) -> None:
    photo, profile = home / "grey.jpg", icc.for_colours(photo_files.ICC, 1)
    Image.new("L", (64, 48), 100).save(photo, icc_profile=profile)
    answer = defocusctl("deblur", photo, "--compare", "--weights", small_weights(home, "iniknet"))
    assert answer.code == ExitCode.OK, answer.err
    with Image.open(home / "grey_deblurred_compare.png") as drawn:
        assert icc.fits(drawn.info["icc_profile"], 3)


def test_strength_zero_is_the_original(home: Path) -> None:
    photo = photo_file(home / "photo.png")
    weights = small_weights(home, "nrknet")
    defocusctl("deblur", photo, "-m", "nrknet", "--weights", weights, "--strength", "0")
    result = np.asarray(Image.open(home / "photo_deblurred.png"))
    assert np.array_equal(result, np.asarray(Image.open(photo)))


def test_weights_of_the_other_model_are_refused(home: Path) -> None:
    photo = photo_file(home / "photo.png")
    answer = defocusctl("deblur", photo, "-m", "nrknet", "--weights", small_weights(home, "iniknet"))
    assert answer.code == ExitCode.WEIGHTS
    assert "the model iniknet" in answer.err


def test_the_provenance_is_in_the_output(home: Path) -> None:
    photo = photo_file(home / "photo.png")
    defocusctl("deblur", photo, "--weights", small_weights(home, "iniknet"), "--strength", "0.5")
    content = (home / "photo_deblurred.png").read_bytes()
    for word in (b"iniknet", b"sha256:", b"0.5", b"defocusctl"):
        assert word in content


def test_without_network_the_bundled_weights_say_so(home: Path) -> None:
    photo = photo_file(home / "photo.png", 32, 32)
    answer = defocusctl("deblur", photo, "--offline", "--json")
    assert answer.code == ExitCode.OK, answer.err
    assert "iniknet/bundled" in answer.err
    weights = json.loads(answer.out)["weights"]
    assert weights["name"] == "bundled"
    assert weights["note"]


def test_named_weights_never_fall_back(home: Path) -> None:
    photo = photo_file(home / "photo.png", 32, 32)
    answer = defocusctl("deblur", photo, "--offline", "--weights", "dpdd")
    assert answer.code == ExitCode.WEIGHTS
    assert not (home / "photo_deblurred.png").exists()


def test_flags_swallow_no_photo(home: Path) -> None:
    photo = photo_file(home / "photo.png")
    weights = small_weights(home, "iniknet")
    answer = defocusctl("deblur", "--weights", weights, "--maps", "--compare", photo)
    assert answer.code == ExitCode.OK, answer.err
    assert (home / "photo_deblurred_compare.png").is_file()
    assert list(home.glob("photo_deblurred_*radius*"))


def test_the_models_on_the_command_line_are_those_of_the_catalogue() -> None:
    from defocusctl.models.catalogue import NETWORKS
    from defocusctl.models.plugins import BUILT_IN

    assert list(BUILT_IN) == list(NETWORKS)
