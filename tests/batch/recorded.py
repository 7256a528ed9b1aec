"""Batches on the disk as a run leaves them: originals, results, manifest."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from defocusctl.batch.inputs import FoundPhoto
from defocusctl.batch.jobs import BatchOptions, Job, plan
from defocusctl.batch.manifest import Entry, Status, recorded_stamp, recording

SETTINGS = BatchOptions("iniknet").settings("sha256:12c5")


def found_in(folder: Path, name: str) -> FoundPhoto:
    """A photo as a search finds it."""
    return FoundPhoto(str(folder / name), name, stamp=recorded_stamp(folder / name))


def job_of(found: FoundPhoto, out: str = "out", **options: Any) -> Job:
    """What there is to do for a photo that no earlier run knows."""
    [job] = plan([found], BatchOptions("iniknet", **options), Path(out), {})
    return job


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def done(out: Path, name: str, source: Path, files: Mapping[str, Path], **changes: Any) -> Entry:
    """The entry of a photo that was deblurred: ``files`` are the results by their places, the photo first."""
    with Image.open(source) as image:
        width, height = image.size
    entry = Entry(
        input=name,
        status=Status.DONE,
        source=str(source),
        size=source.stat().st_size,
        sha256=sha256(source),
        files={place: sha256(path) for place, path in files.items()},
        settings=SETTINGS,
        weights={"name": "bundled", "source": "bundled", "hash": "sha256:12c5"},
        report={
            "device": "cpu",
            "precision": "float32",
            "tile": 64,
            "overlap": 16,
            "tiles": 1,
            "seconds": 0.5,
            "megapixels": width * height / 1e6,
            "peak_memory": 1000,
            "width": width,
            "height": height,
        },
        seconds={"read": 0.1, "restore": 0.5, "write": 0.1},
        warnings=(),
        error=None,
        exit_code=0,
        software="defocusctl 0.1.0",
        finished="2026-01-02T03:04:05+00:00",
    )
    return replace(entry, **changes)


def failed(name: str, error: str) -> Entry:
    """The entry of a photo that could not be read."""
    return Entry(
        name, Status.FAILED, name, None, None, {}, SETTINGS, {"name": "bundled"}, {}, {}, (), error,
        3, "defocusctl 0.1.0", "2026-01-02T03:04:05+00:00",
    )  # fmt: skip


def photo(folder: Path, out: Path, name: str, before: Any, after: Any, **changes: Any) -> Entry:
    """Write a photo's original and result as pixels say, or as they are if they are files' bytes."""
    for path, content in ((folder / name, before), (out / name, after)):
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            Image.fromarray(np.asarray(content)).save(path)
    return done(out, name, folder / name, {name: out / name}, **changes)


def record(out: Path, *entries: Entry) -> None:
    """Append to the manifest of ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    with recording(out) as append:
        append(entries)
