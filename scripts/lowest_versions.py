"""Print the lowest versions that pyproject.toml allows of what the program needs, as constraints for pip.

    python scripts/lowest_versions.py > constraints-lowest.txt

``make test-lowest`` installs exactly these and runs the tests that need no extra.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def lowest_versions() -> list[str]:
    """``name==version`` for each dependency.

    Raises:
        ValueError: if one has no lowest version.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [_lowest(requirement) for requirement in project["dependencies"]]


def _lowest(requirement: str) -> str:
    parts = re.match(r"([\w-]+)>=([\w.]+)", requirement)
    if parts is None:
        raise ValueError(f"'{requirement}' has no lowest version")
    return f"{parts[1]}=={parts[2]}"


if __name__ == "__main__":
    print("\n".join(lowest_versions()))
