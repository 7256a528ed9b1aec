"""Names and texts from elsewhere: nothing of them is obeyed, read as markup, or too much for stdout."""

import io
import sys
from pathlib import Path
from typing import get_args

import pytest
from rich.table import Table

from defocusctl.cli import info
from defocusctl.cli.app import guard_standard_streams
from defocusctl.cli.batch_options import Format
from defocusctl.cli.console import plain, put, put_table
from defocusctl.errors import ExitCode, InputError, printable
from defocusctl.photo.targets import SUFFIXES, format_to_write
from tests.cli.command import defocusctl, photo_file, small_weights

EVIL = "a\x1b]0;owned\x07\x9b2J\nerror: \u202eb[/x]"


def test_control_characters_become_escapes() -> None:
    assert printable(EVIL) == "a\\x1b]0;owned\\x07\\x9b2J\\nerror: \\u202eb[/x]"
    assert printable("caf\udce9 写真\xa0[a]") == "caf\\xe9 写真\xa0[a]"
    assert str(InputError(EVIL, "no")) == f"{printable(EVIL)}: no"


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_no_command_obeys_a_name(home: Path, ending: str) -> None:
    weights = small_weights(home, "iniknet")
    name = EVIL.replace("/", "") + ending
    (home / "in").mkdir()
    photo = photo_file(home / "in" / f"photo{ending}").rename(home / "in" / name)
    if ending == ".jpg":
        photo.write_bytes(b"x")
    answers = [
        defocusctl("deblur", photo, "--weights", weights, "-o", home / "one.png"),
        defocusctl("batch", "in", "out", "--weights", weights, "--dry-run"),
        defocusctl("batch", "in", "out", "--weights", weights),
        defocusctl("eval", "--dataset", "photos", "--blurred", "in", "--weights", weights, "--allow-partial"),
        defocusctl("deblur", home / name),
        defocusctl("weights", "path", name),
    ]
    for answer in answers:
        assert not any(sign in answer.out + answer.err for sign in "\x1b\x07\x9b\u202e")
        assert "a bug in" not in answer.err
    assert "\\x1b" in answers[1].out and "\\x1b" in answers[2].err and "\\x1b" in answers[4].err


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_stdout_shows_what_it_cannot_encode(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    content = io.BytesIO()
    strict = io.TextIOWrapper(content, encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", strict)
    guard_standard_streams()
    put("写\udce9 ↓")
    table = Table("a")
    table.add_row(plain("写 [/x]"))
    put_table(table)
    sys.stdout.flush()
    shown = content.getvalue().decode(encoding)
    assert "\\xe9" in shown and "[/x]" in shown
    assert ("写" if encoding == "utf-8" else "\\u5199") in shown


def test_info_names_extras_in_brackets(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(info, "EXTRAS", {"train": ("no-such-distribution",)})
    assert "pip install 'defocusctl[train]'" in defocusctl("info").out


def test_batch_writes_every_format_that_deblur_does() -> None:
    every = [suffix for suffixes in SUFFIXES.values() for suffix in suffixes]
    written = [suffix for suffix in every if format_to_write(Path(f"a{suffix}"))]
    assert [f".{name}" for name in get_args(Format)] == written


def test_a_flag_takes_no_photo_in_batch(home: Path) -> None:
    (home / "in").mkdir()
    photo_file(home / "in" / "a.png")
    weights = small_weights(home, "iniknet")
    given = ("--weights", weights, "--compare", "in", "--maps", "out", "--backend", "torch")
    answer = defocusctl("batch", *given)
    assert answer.code == ExitCode.OK, answer.err
    assert (home / "out" / "a_compare.png").is_file() and (home / "out" / "a_blur_radius.png").is_file()
