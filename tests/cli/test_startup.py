"""What is only looked at must come at once: no torch, and little more time than Typer takes."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

COMMANDS = [
    ["--help"],
    ["--version"],
    ["deblur", "--help"],
    ["batch", "--help"],
    ["train", "--help"],
    ["weights", "list"],
]
DRAWS = ["weights", "list"]
"""Reads entries with Pydantic and draws a table with Rich."""


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_torch_stays_out(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom defocusctl.cli.app import run\n"
        f"code = run({arguments!r}, debug=False)\n"
        "slow = {'torch', 'numpy', 'cv2', 'matplotlib', 'skimage', 'huggingface_hub'} & set(sys.modules)\n"
        f"slow |= {{'pydantic', 'rich.console'}} & set(sys.modules) if {arguments != DRAWS} else set()\n"
        "assert not slow, slow\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_importing_the_package_is_nearly_nothing() -> None:
    program = (
        "import sys, defocusctl\n"
        "assert not {'torch', 'numpy', 'typer', 'PIL'} & set(sys.modules), sorted(sys.modules)\n"
        "assert 'Deblurrer' in dir(defocusctl) and issubclass(defocusctl.InputError, Exception)\n"
        "assert defocusctl.Deblurrer.from_pretrained and 'torch' in sys.modules\n"
        "import defocusctl.deblurrer.outputs\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
