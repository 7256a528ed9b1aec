"""Small photos, in folders and in stores."""

import hashlib
import json
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 48, 64


def make_photos(folder: Path, *names: str, height: int = HEIGHT, width: int = WIDTH) -> Path:
    """A PNG of its own noise for each name, which may have slashes."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    return folder


def upload(folder: Path, url: str) -> None:
    """Copy a folder to a store."""
    files = fsspec.filesystem(url.partition("://")[0])
    for path in folder.rglob("*"):
        if path.is_file():
            files.put_file(str(path), f"{url}/{path.relative_to(folder).as_posix()}")


def objects(url: str) -> dict[str, bytes]:
    """Everything below a URL, by its name there."""
    files = fsspec.filesystem(url.partition("://")[0])
    files.invalidate_cache()
    root = url.partition("://")[2]
    return {key.removeprefix(f"{root}/"): files.cat_file(key) for key in files.find(root)}


def hashes(folder: Path) -> dict[str, str]:
    """The results in a folder by name, without the records beside them."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.png")
    }


def entries(manifest: bytes) -> dict[str, dict[str, Any]]:
    """The last line of each input."""
    lines = [json.loads(line) for line in manifest.splitlines()]
    return {line["input"]: line for line in lines}
