"""What is only looked at must come at once: no torch, and little more time than Typer and Rich take."""

import resource
import subprocess
import sys

import pytest

COMMANDS = [
    ["--help"],
    ["--version"],
    ["deblur", "--help"],
    ["batch", "--help"],
    ["train", "--help"],
    ["weights", "list"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_torch_stays_out(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom defocusctl.cli.app import run\n"
        f"code = run({arguments!r}, debug=False)\n"
        "slow = {'torch', 'cv2', 'matplotlib', 'skimage', 'pydantic', 'huggingface_hub'} & set(sys.modules)\n"
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
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_takes_at_most_three_times_the_terminal_library() -> None:
    """In processor time, the least of several in turn, because other work on the machine only ever adds."""

    def seconds(*arguments: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    commands = (
        ["-c", "import typer, rich"],
        ["-m", "defocusctl", "--help"],
        ["-m", "defocusctl", "weights", "list"],
    )
    times = [[seconds(*command) for command in commands] for _ in range(5)]
    bare, help_, weights = (min(column) for column in zip(*times, strict=True))
    assert help_ <= 3 * bare
    assert weights <= 3 * bare
