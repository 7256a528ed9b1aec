"""``export --push`` and ``--weights hf://owner/name``: to a hub and back, through the hub's real client.

The client reads where the hub is when it is imported, so that these run in processes of their own. Large
files go by git LFS here: the newer way, Xet, needs a server of its own kind.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from defocusctl.errors import ExitCode
from defocusctl.weights.checkpoint import load_checkpoint
from tests.cli.command import photo_file, small_weights
from tests.export.hub import Hub, serving
from tests.loopback import dead_url
from tests.machine import make_fresh_machine

pytestmark = pytest.mark.slow

TOKEN = "hf_aTokenThatNobodyMayRead"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    make_fresh_machine(monkeypatch, tmp_path / "home")
    monkeypatch.chdir(tmp_path)
    with serving(TOKEN) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        yield hub


def child(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_to_the_hub_and_back(hub: Hub, tmp_path: Path) -> None:
    weights = small_weights(tmp_path, "nrknet")
    pushed = child(
        *("-m", "defocusctl", "export", "-m", "nrknet", "--weights", weights, "--json"),
        *("--push", "anna/nrknet-small", "--private"),
        HF_TOKEN=TOKEN,
    )
    assert pushed.returncode == ExitCode.OK, pushed.stderr
    assert TOKEN not in pushed.stdout + pushed.stderr
    report = json.loads(pushed.stdout)
    assert report["output"].startswith(f"{hub.url}/anna/nrknet-small/commit/")
    assert report["comparison"]["pixels"] == 0
    assert hub.private == {"anna/nrknet-small": True}
    files = hub.repositories["anna/nrknet-small"]
    assert set(files) == {"model.safetensors", "config.json", "README.md"}

    configuration = json.loads(files["config.json"])
    assert configuration["configuration"].items() >= {"width": 4, "atoms": 4, "feature_scale": 1}.items()
    assert (configuration["model"], configuration["channel_order"]) == ("nrknet", "RGB")
    card = files["README.md"].decode()
    assert card.startswith("---\nlibrary_name: defocusctl\n")
    assert "license: mit\n" in card
    assert "--weights hf://anna/nrknet-small" in card
    assert configuration["weights_hash"] in card

    photo = photo_file(tmp_path / "photo.png", 32, 32)
    back = child(
        *("-m", "defocusctl", "deblur", photo, "-m", "nrknet", "--json"),
        *("--weights", "hf://anna/nrknet-small"),
    )
    assert back.returncode == ExitCode.OK, back.stderr
    assert json.loads(back.stdout)["weights"]["source"] == "hf://anna/nrknet-small"
    (fetched,) = (tmp_path / "home" / "cache" / "hub").rglob("snapshots/*/model.safetensors")
    assert load_checkpoint(fetched).metadata == load_checkpoint(weights).metadata


UPLOAD = """
import sys
from defocusctl.errors import OutputError
from defocusctl.export.publish import upload
try:
    upload("anna/net", {"README.md": b"# net"}, "Add", private=False)
except OutputError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"HF_TOKEN": ""},
            "hf://anna/net: there is no token to write with: run 'hf auth login', or set HF_TOKEN",
        ),
        (
            {"HF_TOKEN": "hf_another"},
            "hf://anna/net: HTTP status 403: check the name, and that the token may write",
        ),
        (
            {"HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "1"},
            "hf://anna/net: the network is off: unset HF_HUB_OFFLINE",
        ),
    ],
)
def test_a_push_that_fails_is_one_line(hub: Hub, environment: dict[str, str], said: str) -> None:
    answer = child("-c", UPLOAD, **environment)
    assert (answer.returncode, answer.stderr.strip()) == (1, said)
    assert hub.repositories == {}


def test_a_hub_that_does_not_answer(hub: Hub) -> None:
    answer = child("-c", UPLOAD, HF_TOKEN=TOKEN, HF_ENDPOINT=dead_url().removesuffix("/nobody.pth"))
    assert answer.stderr.strip() == "hf://anna/net: the hub cannot be reached: try again while online"
