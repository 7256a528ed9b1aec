"""Runs ``defocusctl deblur`` from one TIFF to another: the part of the plug-in that does without GIMP.

It runs in GIMP's Python, which has none of defocusctl's packages.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

COMMAND = "defocusctl"
MODELS = ("iniknet", "nrknet")
SCALES = ("auto", "1", "1/2", "1/4", "1/8")
NO_LIMIT = 0.0
"""The largest blur that means that there is none."""
POLL_SECONDS = 0.2


class DeblurError(Exception):
    """What went wrong, in one line for the user."""


@dataclass(frozen=True)
class Settings:
    """``command`` is the program, by its path or its name; the others are the options of the same names."""

    command: str = COMMAND
    model: str = MODELS[0]
    weights: str = "bundled"
    strength: float = 1.0
    scale: str = SCALES[0]
    max_blur: float = NO_LIMIT


def deblur(settings: Settings, source: Path, target: Path, on_wait: Callable[[], object]) -> list[str]:
    """Deblur the TIFF ``source`` into the new TIFF ``target``; returns what it warned about.

    Floating-point values are taken as GIMP writes them, with white at 1. ``on_wait`` is called several times
    per second. If it raises, as at the end of this process, the program is ended too.

    Raises:
        DeblurError: if the program is not there, or could not deblur it.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            program = subprocess.Popen(
                _arguments(settings, source, target),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=_environment(),
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise DeblurError(f"cannot start {settings.command} ({error.strerror})") from error
        try:
            while True:
                try:
                    code = program.wait(POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    on_wait()
        finally:
            program.kill()
            program.wait()
        out.seek(0)
        err.seek(0)
        lines = err.read().decode("utf-8", "replace").strip().splitlines()
        if code:
            raise DeblurError(lines[-1] if lines else f"{settings.command} ended with the status {code}")
        return [str(line) for line in json.loads(out.read())["warnings"]]


def _arguments(settings: Settings, source: Path, target: Path) -> list[str]:
    program = shutil.which(settings.command.strip())
    if program is None:
        raise DeblurError(
            f"cannot find {settings.command}: give its path in the dialog, "
            "as 'which defocusctl' (Windows: 'where defocusctl') prints it"
        )
    options = {
        "--model": settings.model,
        "--strength": str(settings.strength),
        "--scale": settings.scale,
        "--white": "1",
        "--output": str(target),
    }
    if settings.weights.strip():
        options["--weights"] = settings.weights.strip()
    if settings.max_blur != NO_LIMIT:
        options["--max-blur"] = str(settings.max_blur)
    return [program, "deblur", str(source), "--json", *(word for pair in options.items() for word in pair)]


def _environment() -> dict[str, str]:
    """Without the variables that lead to GIMP's own Python, and with UTF-8 on any code page."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
    return {**kept, "PYTHONUTF8": "1"}
