"""The documentation says what the commands say, its site builds, and shells complete."""

import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from scripts.command_reference import MANUAL, REFERENCE, ROOT, commands, date_of, manual_page, reference_page

REMEDY = "run `make reference`"

SHELLS = {
    "bash": """
        source ./script
        COMP_WORDS=(defocusctl {words}); COMP_CWORD={last}
        _defocusctl_completion defocusctl
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """,
    "fish": 'source ./script; complete -C "defocusctl {words}"',
    "zsh": 'compdef() {{ :; }}; _arguments() {{ print -r -- "$@"; }}; source ./script; '
    "words=(defocusctl {words}); CURRENT=$#words; _defocusctl_completion",
}
"""Programs that complete a line as each shell does; Zsh does so at a prompt only, and shows its choices."""


def completed(shell: str, words: str, folder: Path) -> str:
    """What ``shell`` offers for 'defocusctl WORDS'."""
    program = folder / "bin" / "defocusctl"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m defocusctl "$@"\n')
    program.chmod(0o755)
    variables = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(folder)}
    script = subprocess.run(
        ["defocusctl"],
        env=variables | {"_DEFOCUSCTL_COMPLETE": f"source_{shell}"},
        check=True,
        capture_output=True,
    )
    (folder / "script").write_bytes(script.stdout)
    command = SHELLS[shell].format(words=words, last=len(words.split()))
    done = subprocess.run(
        [shell, "-c", command], env=variables, cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_shells_complete_commands_and_values(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    assert "nrknet" in completed(shell, "deblur --model nrk", tmp_path)
    assert "check" in completed(shell, "datasets che", tmp_path)


def test_completing_does_without_torch() -> None:
    program = (
        "import sys\nfrom defocusctl.cli.app import run\n"
        "try:\n    run([], debug=False)\n"
        "finally:\n    assert not {'torch', 'cv2', 'matplotlib'} & set(sys.modules)"
    )
    variables = {
        "_DEFOCUSCTL_COMPLETE": "complete_bash",
        "COMP_WORDS": "defocusctl eval --data",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | variables, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["--dataset"], "")


def test_the_reference_is_what_the_commands_say() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference_page(), REMEDY


def test_the_manual_is_what_the_commands_say() -> None:
    manual = MANUAL.read_text(encoding="utf-8")
    assert manual == manual_page(date_of(manual)), REMEDY


def test_every_command_and_option_is_in_the_manual() -> None:
    manual = MANUAL.read_text(encoding="utf-8").replace("\\", "")
    for command in commands():
        for term, _ in [*command.arguments, *command.options]:
            assert term.split(",")[-1].split()[0] in manual, f"{command.name} {term}"


def test_the_manual_is_without_fault() -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("no mandoc here")
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "style", str(MANUAL)], capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("", 0)


class Loaded(HTMLParser):
    """Collects what a browser fetches to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "link" and given.get("rel") not in {"next", "prev", "canonical"}:
            self.addresses.append(given["href"] or "")
        self.addresses += [given[name] or "" for name in ("src", "srcset", "poster") if name in given]


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="no MkDocs Material here: pip install '.[docs]'")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    pages = [page for page in tmp_path.rglob("*.html") if "reports" not in page.parts]
    assert len(pages) > 20
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text(encoding="utf-8"))
        assert loaded.addresses
        assert not [address for address in loaded.addresses if "//" in address], page
