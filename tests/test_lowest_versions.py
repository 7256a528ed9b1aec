"""The lowest versions of pyproject.toml, as ``make test-lowest`` installs them."""

import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


def test_each_dependency_has_one_that_is_allowed_and_the_very_lowest() -> None:
    script = [sys.executable, ROOT / "scripts/lowest_versions.py"]
    lines = subprocess.run(script, capture_output=True, text=True, check=True).stdout.splitlines()
    lowest = dict(line.split("==") for line in lines)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *extras["heif"], *extras["jxl"], *extras["raw"]]
    allowed = {each.name: each.specifier for each in map(Requirement, requirements)}
    assert list(lowest) == list(allowed)
    for name, version in lowest.items():
        assert version in allowed[name]
        assert f">={version}" in str(allowed[name]).split(",")
