"""Files that appear whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path


def publish(part: Path, target: Path) -> None:
    """Give the finished file ``part`` the name ``target`` in its directory, so that it survives a power cut.

    Raises:
        OSError: if that fails; ``target`` is then as it was.
    """
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(target)
    with suppress(OSError):  # Windows cannot open a directory
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_bytes(target: Path, content: bytes) -> None:
    """Write ``content`` to ``target`` by way of a temporary file beside it.

    Raises:
        OSError: if that fails; ``target`` is then as it was, and nothing is left beside it.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        publish(part, target)
    finally:
        part.unlink(missing_ok=True)
