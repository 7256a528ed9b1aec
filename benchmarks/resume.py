"""Times `defocusctl batch` on a finished tree, with and without verification. Linux only.

    python benchmarks/resume.py [--photos 100000] [--side 64] [--only folders|store]

One JPEG photo of noise is deblurred with the bundled weights; photo, result and manifest line are then
duplicated into folders of 1,000. The command runs on these in separate processes: as it is, and with
`--verify`, which reads all photos and results and compares checksums. The files were just written, so they
are cached. The store is a dictionary in the process's memory behind fsspec's interface, so only the command's
own work is measured, not the network. The first line is the startup time, measured with one photo. CPU
seconds include system time.
"""

import argparse
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import fsspec
import numpy as np
from PIL import Image

from defocusctl.__main__ import main as defocusctl
from defocusctl.batch.manifest import FILE, RESERVATIONS, recorded_stamp

ONE, DONE = "one.jpg", "done"
PER_FOLDER = 1000
WEIGHTS = ("--weights", "bundled", "--json")


class Timing(NamedTuple):
    """Wall-clock and CPU seconds."""

    wall: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--only", choices=("folders", "store"))
    parser.add_argument("--in-store", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.in_store:
        run_in_store(Path(arguments.in_store[0]), arguments.photos, arguments.in_store[1:])
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        noise = np.random.default_rng(0).integers(0, 256, (arguments.side, arguments.side, 3), np.uint8)
        Image.fromarray(noise).save(root / ONE)
        first = [sys.executable, "-m", "defocusctl", "batch", str(root / ONE), str(root / DONE), *WEIGHTS]
        subprocess.run(first, check=True, stdout=subprocess.DEVNULL)
        print("| photos | where | s | CPU s | photos/s |\n|---:|---|---:|---:|---:|", flush=True)
        show(1, "startup", timed(first))
        if arguments.only != "store":
            in_folders(root, arguments.photos)
        if arguments.only != "folders":
            in_a_store(root, arguments.photos)


def in_folders(root: Path, photos: int) -> None:
    photo, result = (root / ONE).read_bytes(), (root / DONE / ONE).read_bytes()
    for base, content in (("in", photo), ("out", result)):
        for name in names(photos):
            path = root / base / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    time.sleep(1)  # time stamps of files that were just written are not recorded
    stamps = {
        name: (recorded_stamp(root / "in" / name), recorded_stamp(root / "out" / name))
        for name in names(photos)
    }
    (root / "out" / FILE).write_bytes(manifest(root, stamps))
    (root / "out" / RESERVATIONS).write_bytes(reservations(photos))
    command = [sys.executable, "-m", "defocusctl", "batch", str(root / "in"), str(root / "out"), *WEIGHTS]
    show(photos, "folders", timed(command))
    show(photos, "folders, `--verify`", timed([*command, "--verify"]))


def in_a_store(root: Path, photos: int) -> None:
    command = [sys.executable, __file__, "--photos", str(photos), "--in-store", str(root)]
    for where, options in (("store", []), ("store, `--verify`", ["verify"])):
        answer = subprocess.run([*command, *options], check=True, stdout=subprocess.PIPE, text=True)
        show(photos, where, Timing(*json.loads(answer.stdout.splitlines()[-1])))


def run_in_store(root: Path, photos: int, options: list[str]) -> None:
    """Fill the store and time the command in this process, which was started for it."""
    fsspec.register_implementation("gs", Store, clobber=True)
    photo, result = (root / ONE).read_bytes(), (root / DONE / ONE).read_bytes()
    for name in names(photos):
        Store.put(f"bucket/in/{name}", photo)
        Store.put(f"bucket/out/{name}", result)
    stamp, result_stamp = (f"{len(content)}-{tag(content)}" for content in (photo, result))
    Store.put(f"bucket/out/{FILE}", manifest(root, dict.fromkeys(names(photos), (stamp, result_stamp))))
    Store.put(f"bucket/out/{RESERVATIONS}", reservations(photos))
    sys.argv = ["defocusctl", "batch", "gs://bucket/in", "gs://bucket/out", *WEIGHTS]
    sys.argv += [f"--{option}" for option in options]
    started, before = time.perf_counter(), sum(os.times()[:2])
    try:
        defocusctl()
    except SystemExit as end:
        if end.code:
            raise
    print(json.dumps([time.perf_counter() - started, sum(os.times()[:2]) - before]))


def names(photos: int) -> Iterator[str]:
    return (f"{number // PER_FOLDER:04}/{number:07}.jpg" for number in range(photos))


def manifest(root: Path, stamps: dict[str, tuple[str | None, str | None]]) -> bytes:
    """The manifest lines for all copies of the photo."""
    entry = json.loads((root / DONE / FILE).read_text())
    [digest] = entry["files"].values()
    lines = []
    for name, (stamp, result) in stamps.items():
        entry |= {"input": name, "files": {name: digest}, "stamp": stamp, "stamps": {name: result}}
        lines.append(json.dumps(entry).encode() + b"\n")
    return b"".join(lines)


def reservations(photos: int) -> bytes:
    return b"".join(json.dumps({"file": name}).encode() + b"\n" for name in names(photos))


def timed(command: list[str]) -> Timing:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Timing(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def show(photos: int, where: str, timing: Timing) -> None:
    speed = photos / timing.wall
    print(f"| {photos:,} | {where} | {timing.wall:.1f} | {timing.cpu:.1f} | {speed:,.0f} |", flush=True)


def tag(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Store(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """Objects in memory, like a store without latency; one per process."""

    protocol = "gs"
    objects: ClassVar[dict[str, tuple[bytes, str]]] = {}

    @classmethod
    def put(cls, key: str, content: bytes) -> None:
        cls.objects[key] = content, tag(content)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        try:
            content, known = self.objects[self._strip_protocol(path)]
        except KeyError:
            raise FileNotFoundError(path) from None
        return {"name": path, "size": len(content), "type": "file", "ETag": known}

    def find(self, path: str, **_: Any) -> dict[str, dict[str, Any]]:
        folder = f"{self._strip_protocol(path)}/"
        return {key: self.info(key) for key in sorted(self.objects) if key.startswith(folder)}

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        self.info(path)
        return self.objects[self._strip_protocol(path)][0][start:end]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        if mode == "create" and self._strip_protocol(path) in self.objects:
            raise FileExistsError(path)
        self.put(self._strip_protocol(path), value)

    def put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        self.pipe_file(rpath, Path(lpath).read_bytes())

    def rm_file(self, path: str) -> None:
        del self.objects[self._strip_protocol(path)]

    def open(self, path: str, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO(self.cat_file(path))


if __name__ == "__main__":
    main()
