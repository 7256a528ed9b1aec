"""Throughput of `defocusctl batch` by engine, cores and number of workers. Linux only.

    python benchmarks/scaling.py [--model iniknet] [--photos 12] [--width 480] [--height 320]
                                 [--engines local ray] [--cores 1 2] [--rounds 1]

Every line is one run of the command on the given cores, with the bundled weights at scale 1, on JPEG files of
noise: once with a single worker for all cores, once with one worker per core. A worker (`--jobs`) is a thread
(local) or a process (ray) that restores one photo at a time. "steady" excludes startup and each worker's
first photo; "whole" is from the start of the command to the end of the last photo. The table shows medians
over the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image


class Setup(NamedTuple):
    """One line of the table."""

    engine: str
    cores: int
    workers: int


class Measurement(NamedTuple):
    """Megapixels per second without and with startup, and seconds until the first photo is done."""

    steady: float
    whole: float
    first: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="iniknet")
    parser.add_argument("--photos", type=int, default=12)
    parser.add_argument("--width", type=int, default=480)
    parser.add_argument("--height", type=int, default=320)
    parser.add_argument("--engines", nargs="+", default=["local", "ray"])
    parser.add_argument("--cores", nargs="+", type=int, default=[1, len(os.sched_getaffinity(0))])
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    setups = [
        Setup(engine, cores, workers)
        for engine in arguments.engines
        for cores in dict.fromkeys(arguments.cores)
        for workers in dict.fromkeys((1, cores))
    ]
    print("| engine | cores | workers | MP/s, steady | MP/s, whole | s to the first photo |")
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        make_photos(photos, arguments.photos, arguments.width, arguments.height)
        for setup in setups:
            rounds = []
            for number in range(arguments.rounds):
                out = Path(folder) / "-".join(map(str, (*setup, number)))
                rounds.append(measure(photos, out, arguments.model, setup))
            steady, whole, first = (statistics.median(values) for values in zip(*rounds, strict=True))
            print(f"| {' | '.join(map(str, setup))} | {steady:.4f} | {whole:.4f} | {first:.1f} |", flush=True)


def make_photos(folder: Path, count: int, width: int, height: int) -> None:
    folder.mkdir()
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number:04}.jpg", quality=90)


def measure(photos: Path, out: Path, model: str, setup: Setup) -> Measurement:
    """Run the command on the first cores and record when each photo is done."""
    command = [sys.executable, "-m", "defocusctl", "batch", str(photos), str(out), "--model", model]
    command += ["--weights", "bundled", "--scale", "1", "--offline", "--json"]
    command += ["--engine", setup.engine, "--jobs", str(setup.workers)]
    cores = sorted(os.sched_getaffinity(0))[: setup.cores]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    ended: list[tuple[float, float]] = []
    started = time.perf_counter()
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "ended":
                ended.append((time.perf_counter() - started, event["report"]["megapixels"]))
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    (begin, _), (end, _) = ended[setup.workers - 1], ended[-1]
    between = sum(megapixels for _, megapixels in ended[setup.workers :])
    return Measurement(between / (end - begin), sum(each for _, each in ended) / end, ended[0][0])


if __name__ == "__main__":
    main()
