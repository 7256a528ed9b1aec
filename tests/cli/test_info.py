"""``defocusctl info``."""

import json
from importlib.metadata import version
from pathlib import Path

from defocusctl import __version__
from defocusctl.errors import ExitCode
from tests.cli.command import defocusctl


def test_json_holds_what_there_is(home: Path) -> None:
    answer = defocusctl("info", "--json")
    assert answer.code == ExitCode.OK
    facts = json.loads(answer.out)
    assert facts["defocusctl"] == __version__
    assert facts["packages"]["torch"] == version("torch")
    assert "GiB" in facts["devices"]["cpu"]
    assert facts["cache"] == str(home.parent / "home" / "cache")
    assert "iniknet/bundled" in facts["weights"]


def test_the_table_holds_the_same(home: Path) -> None:
    answer = defocusctl("info")
    assert answer.code == ExitCode.OK
    for name in ("packages", "devices", "weights", "configuration", __version__):
        assert name in answer.out
