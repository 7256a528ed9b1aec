"""Print the lowest versions that pyproject.toml allows of what the program needs, as constraints for pip.

    python scripts/lowest_versions.py > constraints-lowest.txt

``make test-lowest`` installs exactly these, with the extras that read and write further formats, and runs the
tests that need no other extra.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
FORMATS = ("heif", "jxl", "raw")


def lowest_versions() -> list[str]:
    """``name==version`` for each dependency and each package of the formats' extras.

    Raises:
        ValueError: if one has no lowest version.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    requirements = project["dependencies"] + [each for name in FORMATS for each in extras[name]]
    return list(dict.fromkeys(map(_lowest, requirements)))  # a package has a line for each of its platforms


def _lowest(requirement: str) -> str:
    parts = re.match(r"([\w-]+)>=([\w.]+)", requirement)
    if parts is None:
        raise ValueError(f"'{requirement}' has no lowest version")
    return f"{parts[1]}=={parts[2]}"


if __name__ == "__main__":
    print("\n".join(lowest_versions()))
