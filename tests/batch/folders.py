"""Folders of tiny photos, and what a batch made of them."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from defocusctl.batch.manifest import FILE

TREE = ("a.png", "2024/b.jpg", "2024/may/c.ppm", "2024/may/d.png")
OF_THE_MOMENT = ("seconds", "finished", "stamp", "stamps")


def write_photos(folder: Path, names: Iterable[str] = TREE, size: tuple[int, int] = (32, 40)) -> Path:
    """A different photo for each name below ``folder``, which is the answer."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(pixels(name, size))
        (picture.convert("L") if path.suffix == ".pgm" else picture).save(path)
    return folder


def pixels(name: str, size: tuple[int, int] = (32, 40)) -> np.ndarray:
    """A picture with detail that the name decides, (H, W, 3) uint8."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    coarse = np.random.default_rng(seed).integers(0, 256, (size[0] // 4 + 1, size[1] // 4 + 1, 3), np.uint8)
    return coarse.repeat(4, axis=0).repeat(4, axis=1)[: size[0], : size[1]]


def replace_unseen(path: Path) -> None:
    """Put other bytes into a file and leave it the size and time of change that it had."""
    status = path.stat()
    path.write_bytes(b"x" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def make_old(folder: Path) -> None:
    """As if every file below ``folder`` had been written long ago, each at a time of its own."""
    for number, path in enumerate(sorted(folder.rglob("*.*"))):
        os.utime(path, ns=(0, 1_700_000_000_000_000_001 + number))


def results_in(out: Path) -> dict[str, bytes]:
    """Every file below ``out`` but the program's own book-keeping."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != FILE and path.suffix not in (".lock", ".claims")
    }


def entries_in(out: Path) -> list[dict[str, Any]]:
    """The manifest's lines."""
    return [json.loads(line) for line in (out / FILE).read_text().splitlines()]


def last_entries(out: Path) -> dict[str, dict[str, Any]]:
    """The last line of each input, without what depends on the moment."""
    entries = {entry["input"]: entry for entry in entries_in(out)}
    for entry in entries.values():
        for key in OF_THE_MOMENT:
            del entry[key]
        for key in ("seconds", "peak_memory"):
            entry["report"].pop(key, None)
    return entries


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
