"""Compares the backends of ``deblur`` on the CPU: seconds, and the difference from PyTorch in float32.

    python benchmarks/backends.py [PHOTO] [--size 480x320] [--rounds 3]

Restores the middle of the photo (by default, the sample photo) in tiles, with the bundled weights. Each round
runs all backends one after the other, each in its own process after a warm-up on a small part of the photo;
the table shows medians. The graphs are exported to the cache beforehand. On a busy machine, only processor
time is meaningful, with OMP_NUM_THREADS=1.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from defocusctl.deblurrer import Deblurrer
from defocusctl.models.catalogue import NETWORKS
from defocusctl.photo import Photo, read_photo
from defocusctl.restoring.settings import RestoreSettings

SAMPLE = Path(__file__).parents[1] / "samples" / "circuit-board.png"
WARM_UP = 64  # pixels a side

CONTENDERS = {
    "torch, fp32": {"backend": "torch", "precision": "fp32"},
    "torch, auto": {"backend": "torch", "precision": "auto"},
    "onnxruntime": {"backend": "onnxruntime"},
    "openvino": {"backend": "openvino"},
}


@dataclass(frozen=True)
class Timing:
    """One photo: seconds to get ready, wall-clock and processor seconds, peak MiB, precision."""

    ready: float
    clock: float
    processor: float
    memory: float
    precision: str


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--size", default="480x320", metavar="WxH")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", nargs="+", default=list(NETWORKS))
    parser.add_argument("--only", nargs=3, metavar=("MODEL", "CONTENDER", "FILE"), help="one timing")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    if arguments.only:
        model, contender, file = arguments.only
        print(json.dumps(asdict(timed(model, contender, middle(arguments.photo, height, width), Path(file)))))
        return
    print(f"{arguments.size} pixels, {torch.get_num_threads()} threads, medians of {arguments.rounds}\n")
    print(
        "| network | backend | precision | ready, s | photo, s | processor, s | peak, MiB | grey levels off |"
    )
    print("|---|---|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for model in arguments.models:
            rows = compared(model, arguments.rounds, Path(folder))
            print("\n".join(rows), flush=True)


def compared(model: str, rounds: int, folder: Path) -> list[str]:
    """The rows for one network."""
    for contender in ("onnxruntime", "openvino"):  # the export is not timed
        Deblurrer.load(model, "bundled", RestoreSettings(**CONTENDERS[contender]), offline=True)
    timings: dict[str, list[Timing]] = {contender: [] for contender in CONTENDERS}
    for _ in range(rounds):
        for contender in CONTENDERS:
            timings[contender].append(one_process(model, contender, folder))
    exact = np.load(folder / f"{model}-torch, fp32.npy")
    rows = []
    for contender, runs in timings.items():
        off = 255 * np.abs(np.load(folder / f"{model}-{contender}.npy") - exact).max()
        figures = [
            statistics.median(getattr(run, field) for run in runs)
            for field in ("ready", "clock", "processor", "memory")
        ]
        ready, clock, processor, memory = figures
        rows.append(
            f"| {model} | {contender} | {runs[0].precision} | {ready:.2f} | {clock:.2f} | {processor:.2f} "
            f"| {memory:.0f} | {off:.4f} |"
        )
    return rows


def one_process(model: str, contender: str, folder: Path) -> Timing:
    """One timing in a separate process, which leaves the restored photo in the folder."""
    file = folder / f"{model}-{contender}.npy"
    command = [sys.executable, __file__, *sys.argv[1:], "--only", model, contender, str(file)]
    return Timing(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def middle(path: Path, height: int, width: int) -> np.ndarray:
    """The middle of a photo as float pixels in [0, 1]."""
    photo = read_photo(path)
    tall, wide = photo.pixels.shape[:2]
    top, left = (tall - height) // 2, (wide - width) // 2
    part = photo.pixels[top : top + height, left : left + width]
    return part.astype(np.float32) / np.float32(photo.full_scale)


def timed(model: str, contender: str, photo: np.ndarray, file: Path) -> Timing:
    """Restore a small part of ``photo``, then time all of it, and save the result."""
    started = time.perf_counter()
    restorer = Deblurrer.load(
        model, "bundled", RestoreSettings(**CONTENDERS[contender]), offline=True
    ).restorer
    ready = time.perf_counter() - started
    restorer.restore([Photo.of_pixels(np.ascontiguousarray(photo[:WARM_UP, :WARM_UP]), 1.0)])[0]
    started, processor = time.perf_counter(), time.process_time()
    restored = restorer.restore([Photo.of_pixels(photo, 1.0)])[0]
    clock, processor = time.perf_counter() - started, time.process_time() - processor
    np.save(file, restored.pixels)
    return Timing(ready, clock, processor, restored.report.peak_memory / 2**20, restorer.precision)


if __name__ == "__main__":
    main()
