"""Whatever goes wrong is one line with a remedy, an exit code and, with ``--json``, an object per input."""

import io
import json
import sys
from pathlib import Path

import pytest

from defocusctl.cli.deblur import Reporter
from defocusctl.cli.options import DEFAULT_MAX_MEGAPIXELS
from defocusctl.deblurrer import Deblurrer
from defocusctl.deblurrer.outputs import Outputs, deblur_photo
from defocusctl.errors import DeviceError, ExitCode, SomeFailedError
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.system.devices import memory_errors
from tests.cli.command import defocusctl, photo_file, small_weights

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize(
    ("arguments", "told", "command"),
    [
        (("deblur", "a.png", "--strength", "2"), "--strength", "defocusctl deblur"),
        (("deblur", "a.png", "--bogus"), "--bogus", "defocusctl deblur"),
        (("deblur",), "INPUT", "defocusctl deblur"),
        (("deblur", "a.png", "--strength"), "--strength", "defocusctl"),
        (("blur",), "'blur'", "defocusctl"),
        (("eval",), "--dataset", "defocusctl eval"),
    ],
)
def test_a_misused_option_is_one_line(arguments: tuple[str, ...], told: str, command: str) -> None:
    answer = defocusctl(*arguments)
    assert answer.code == ExitCode.USAGE
    assert answer.out == ""
    assert len(answer.err.splitlines()) == 1
    assert answer.err.startswith("error: ")
    assert told in answer.err
    assert answer.err.endswith(f": see '{command} --help'\n")


@pytest.mark.parametrize("arguments", [(), ("weights",)])
def test_no_arguments_are_a_call_for_help(arguments: tuple[str, ...]) -> None:
    answer = defocusctl(*arguments)
    assert answer.code == ExitCode.USAGE
    assert answer.err.startswith("Usage: defocusctl")
    assert "--help" in answer.err
    assert "error:" not in answer.err


@pytest.mark.parametrize("limit", ["nan", "0"])
def test_a_limit_that_is_none_is_refused(home: Path, limit: str) -> None:
    answer = defocusctl("deblur", photo_file(home / "photo.png"), "--max-megapixels", limit)
    assert answer.code == ExitCode.USAGE
    assert len(answer.err.splitlines()) == 1


def test_the_limit_is_that_of_the_reader() -> None:
    from defocusctl import photo

    assert photo.DEFAULT_MAX_MEGAPIXELS == DEFAULT_MAX_MEGAPIXELS


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--weights", "gone.safetensors"), ExitCode.WEIGHTS),
        (("--region", "banana"), ExitCode.USAGE),
        (("--tile", "banana"), ExitCode.USAGE),
    ],
)
def test_json_tells_of_every_input_when_none_can_be_done(
    home: Path, arguments: tuple[str, ...], code: ExitCode
) -> None:
    names = [str(photo_file(home / name)) for name in ("a.png", "b.png")]
    answer = defocusctl("deblur", *names, *arguments, "--json")
    assert answer.code == code
    objects = [json.loads(line) for line in answer.out.splitlines()]
    assert [(item["input"], item["exit_code"]) for item in objects] == [(name, code) for name in names]
    assert all(item["error"] in answer.err for item in objects)


def test_when_all_fail_no_others_are_done() -> None:
    answer = defocusctl("deblur", "gone.png", "lost.png")
    assert answer.code == ExitCode.SOME_FAILED
    assert "2 of 2 inputs failed" in answer.err
    assert "the others" not in answer.err


def test_a_bug_with_one_input_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter(["a.png", "b.png"], as_json=True, quiet=False)
    with pytest.raises(SomeFailedError, match="1 of 2"), reporter.whole_call():
        with reporter.one_input("a.png"):
            raise KeyError("who knows")
        after = "reached"
    assert after == "reached"
    out, err = capsys.readouterr()
    assert json.loads(out)["exit_code"] == ExitCode.BUG
    assert err.startswith("error: a.png: a bug in defocusctl (KeyError: 'who knows'): please report")


def test_memory_that_runs_out_is_no_bug(home: Path) -> None:
    class NoRoom(io.BytesIO):
        """A stream that cannot grow."""

        def write(self, data: object, /) -> int:
            return len(bytearray(sys.maxsize))

    photo = photo_file(home / "photo.png", 32, 32)
    deblurrer = Deblurrer.load("nrknet", str(small_weights(home, "nrknet")), RestoreSettings(), offline=True)
    with pytest.raises(DeviceError, match=r"not enough memory for '.*photo\.png'") as caught:
        deblur_photo(deblurrer, photo, NoRoom(), outputs=Outputs(), max_megapixels=1)
    assert caught.value.remedy
    with pytest.raises(DeviceError, match="for the rest"), memory_errors("the rest"):
        bytearray(sys.maxsize)


def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from defocusctl.cli.app import main

    for arguments in (["--debug", "deblur", "gone.png"], ["deblur", "gone.png", "lost.png", "--debug"]):
        monkeypatch.setattr(sys, "argv", ["defocusctl", *arguments])
        with pytest.raises(SystemExit):
            main()
        err = capsys.readouterr().err
        assert "Traceback" in err
        assert "check_is_photo" in err  # where it came from
        assert err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in defocusctl("deblur", "gone.png").err
