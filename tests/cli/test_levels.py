"""``--scale``, ``--max-blur`` and ``--mask``: what they do to a file, and what they refuse in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defocusctl.errors import ExitCode
from tests.cli.command import defocusctl, photo_file, small_weights


def mask_file(path: Path, size: tuple[int, int], white: tuple[int, int, int, int] | None) -> None:
    """A black picture of ``size`` (width, height) with a white box (left, top, right, bottom)."""
    mask = Image.new("L", size)
    if white is not None:
        mask.paste(255, white)
    mask.save(path)


@pytest.mark.parametrize(
    ("options", "code", "line"),
    [
        (("--scale", "1/3"), ExitCode.USAGE, "'1/3' is not a scale: use auto, 1, 1/2, 1/4, 1/8"),
        (("--scale", "1/8"), ExitCode.USAGE, "fewer than 32 on a side: use a larger --scale, or auto"),
        (("--max-blur", "0"), ExitCode.USAGE, "0 pixels is not possible: give a number above 0"),
        (("--max-blur", "-3"), ExitCode.USAGE, "-3 pixels is not possible: give a number above 0"),
        (("--mask", "square.png"), ExitCode.INPUT, "does not have the shape of the photo, 96x64"),
        (("--mask", "black.png"), ExitCode.INPUT, "'black.png' is all black, so nothing would be deblurred"),
        (("--mask", "white.png"), ExitCode.INPUT, "'white.png' is all white: leave out --mask"),
        (("--mask", "text.png"), ExitCode.INPUT, "cannot use 'text.png'"),
        (("--mask", "missing.png"), ExitCode.INPUT, "cannot use 'missing.png'"),
        (("--mask", "good.png", "-o", "good.png", "--force"), ExitCode.OUTPUT, "good.png"),
    ],
)
@pytest.mark.parametrize("command", ["deblur", "batch"])
def test_what_cannot_be_done_is_said_in_one_line(
    home: Path, command: str, options: tuple[str, ...], code: ExitCode, line: str
) -> None:
    (home / "in").mkdir()
    photo_file(home / "in" / "a.png", 64, 96)
    mask_file(home / "square.png", (64, 64), (0, 0, 9, 9))
    mask_file(home / "black.png", (96, 64), None)
    mask_file(home / "white.png", (96, 64), (0, 0, 96, 64))
    mask_file(home / "good.png", (96, 64), (0, 0, 9, 9))
    (home / "text.png").write_text("not a picture")
    weights = ("--weights", str(small_weights(home, "iniknet")))
    if command == "deblur":
        answer = defocusctl("deblur", "in/a.png", *options, *weights)
        assert not list(home.glob("in/*_deblurred*"))
    elif "-o" in options:
        pytest.skip("batch has no -o")
    else:
        answer = defocusctl("batch", "in", "out", *options, *weights, "--quiet")
        assert not list(home.glob("out/*.png"))
    one_photo_failed = command == "batch" and ("1/8" in options or "square.png" in options)
    assert answer.code == (ExitCode.SOME_FAILED if one_photo_failed else code)
    assert line in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("command", ["deblur", "batch"])
def test_only_what_is_white_in_the_mask_changes(home: Path, command: str) -> None:
    (home / "in").mkdir()
    photo_file(home / "in" / "a.png", 128, 192)
    mask_file(home / "mask.png", (96, 64), (0, 0, 48, 64))
    weights = ("--weights", str(small_weights(home, "iniknet")))
    options = ("--scale", "1/2", "--mask", "mask.png", *weights)
    if command == "deblur":
        answer = defocusctl("deblur", "in/a.png", "-o", "out.png", "--json", *options)
        assert answer.code == 0, answer.err
        report = json.loads(answer.out)
        assert (report["scale"], report["levels"], report["max_blur"]) == ("1/2", {"1/2": 0.667}, None)
        assert report["masked"]
        result = home / "out.png"
        assert b'mask="yes"' in result.read_bytes()
    else:
        answer = defocusctl("batch", "in", "out", *options)
        assert answer.code == 0, answer.err
        result = home / "out" / "a.png"
    before, after = (np.asarray(Image.open(path)) for path in (home / "in" / "a.png", result))
    np.testing.assert_array_equal(after[:, 98:], before[:, 98:])
    assert not np.array_equal(after[:, :94], before[:, :94])


def test_a_batch_with_another_mask_or_scale_is_done_again(home: Path) -> None:
    (home / "in").mkdir()
    photo_file(home / "in" / "a.png", 64, 96)
    weights = ("--weights", str(small_weights(home, "iniknet")))
    mask_file(home / "mask.png", (96, 64), (0, 0, 48, 64))

    def done(*options: str) -> int:
        answer = defocusctl("batch", "in", "out", *options, *weights, "--json")
        assert answer.code == 0, answer.err
        events = [json.loads(line) for line in answer.out.splitlines()]
        return sum(event.get("status") == "done" for event in events)

    assert done("--scale", "1") == 1
    assert done("--scale", "1") == 0
    assert done("--scale", "1", "--mask", "mask.png") == 1
    assert done("--scale", "1", "--mask", "mask.png") == 0
    mask_file(home / "mask.png", (96, 64), (0, 0, 24, 64))
    assert done("--scale", "1", "--mask", "mask.png") == 1
    assert done("--scale", "1/2") == 1
    assert done("--scale", "1/2", "--max-blur", "9") == 1
