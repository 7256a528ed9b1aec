"""Compares `defocusctl batch` with the bare network on the same tiles, and with one `deblur` per photo.

    python benchmarks/batch.py [--model iniknet] [--photos 16] [--width 960] [--height 640] [--rounds 3]
    python benchmarks/batch.py --memory

Each round measures the following, each in its own process, at scale 1 and on the same JPEG photos: the bare
network (all tiles of all photos as `batch` runs them, without files or blending; one photo on all threads or
one per thread, whichever is faster), `batch` with one photo at a time on all threads, `batch` with its own
choice, and one `deblur` for each of the first photos. Times of network and `batch` start when the network is
loaded, and `batch` ends when the last photo is on the disk; `deblur` includes everything. The table shows
medians over the rounds; shares are relative to the bare network in the same round.

`--memory` instead prints the peak memory of `batch` for 10 and for 600 photos of 32 x 32 pixels.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image

from defocusctl.deblurrer import Deblurrer
from defocusctl.photo import Photo, read_photo
from defocusctl.photo.geometry import Size
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.system.limits import processors

WAYS = ("network", "batch, one at a time", "batch", "deblur")
DEBLURRED = 3
"""The number of photos that `deblur` is called for; more only take longer."""
MEBIBYTE = 2**20


class Timing(NamedTuple):
    """Seconds per photo, the number of concurrent photos and the threads for each."""

    seconds: float
    concurrency: str


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="iniknet")
    parser.add_argument("--photos", type=int, default=16)
    parser.add_argument("--width", type=int, default=960)
    parser.add_argument("--height", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--only", nargs=2, metavar=("WAY", "DIR"), help="one timing, of the photos in DIR/in")
    arguments = parser.parse_args()
    if arguments.only:
        way, folder = arguments.only
        print(json.dumps(timed(way, Path(folder), arguments.model)))
    elif arguments.memory:
        compare_memory(arguments.model)
    else:
        size = Size(arguments.height, arguments.width)
        compare_speed(arguments.model, arguments.photos, size, arguments.rounds)


def compare_speed(model: str, photos: int, size: Size, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        make_photos(Path(folder) / "in", photos, size)
        rounds = []
        for _ in range(count):
            rounds.append({way: in_a_process(way, folder, model) for way in WAYS})
            print(json.dumps(rounds[-1]), file=sys.stderr, flush=True)
    print(f"{model}, {photos} photos of {size.width}x{size.height} pixels, {processors()} cores\n")
    print("| way | s per photo | MP/s | of the bare network's throughput | photos at once x threads |")
    print("|---|---:|---:|---:|---|")
    for way in WAYS:
        seconds = statistics.median(one[way].seconds for one in rounds)
        share = statistics.median(one["network"].seconds / one[way].seconds for one in rounds)
        concurrency = rounds[0][way].concurrency
        print(f"| {way} | {seconds:.2f} | {size.megapixels / seconds:.3f} | {share:.1%} | {concurrency} |")
    faster = statistics.median(one["deblur"].seconds / one["batch"].seconds for one in rounds)
    print(f"\nbatch is {faster:.2f} times as fast as one deblur per photo")


def compare_memory(model: str) -> None:
    """Peak resident memory of whole runs, each in its own process."""
    print("| photos | peak, MiB |")
    print("|---:|---:|")
    for photos in (10, 600):
        with tempfile.TemporaryDirectory() as folder:
            make_photos(Path(folder) / "in", photos, Size(32, 32))
            run = subprocess.Popen([*command("batch", model), "in", "out", "--quiet"], cwd=folder)
            _, status, usage = os.wait4(run.pid, 0)
            if status != 0:
                raise SystemExit("batch failed")
            unit = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss
            print(f"| {photos} | {usage.ru_maxrss * unit / MEBIBYTE:.1f} |", flush=True)


def in_a_process(way: str, folder: str, model: str) -> Timing:
    """Call ``timed`` in a separate process."""
    arguments = [sys.executable, __file__, "--model", model, "--only", way, folder]
    answer = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Timing(*json.loads(answer.splitlines()[-1]))


def timed(way: str, folder: Path, model: str) -> Timing:
    photos = sorted((folder / "in").iterdir())
    if way == "network":
        return network(photos, model)
    if way == "deblur":
        return deblur(photos[:DEBLURRED], folder, model)
    return batch(folder, model, [] if way == "batch" else ["--jobs", "1"])


def network(photos: list[Path], model: str) -> Timing:
    """Run all tiles of all photos and nothing else, in the faster of two ways."""
    restorer = Deblurrer.load(model, "bundled", RestoreSettings(), offline=True).restorer
    opened = [read_photo(path) for path in photos]
    threads = torch.get_num_threads()

    def through(photo: Photo) -> None:
        plan = restorer.planner.plan(photo.size)
        for tile in plan.tiles:
            restorer.runner.run([photo], tile.read.shifted(-plan.context))

    timings = []
    for concurrency in sorted({1, threads}):
        restorer.concurrency = concurrency
        torch.set_num_threads(threads // concurrency)
        with ThreadPoolExecutor(concurrency) as pool:
            list(pool.map(through, opened[:concurrency]))  # warms up
            started = time.perf_counter()
            list(pool.map(through, opened))
            seconds = (time.perf_counter() - started) / len(opened)
        timings.append(Timing(seconds, f"{concurrency} x {threads // concurrency}"))
    print(timings, file=sys.stderr)
    return min(timings)


def batch(folder: Path, model: str, options: list[str]) -> Timing:
    """Taken from its last event: from the start of the first photo until the last one is recorded."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        program = [*command("batch", model), "in", out, "--json", *options]
        answer = subprocess.run(program, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout
    planned, *_, finished = (json.loads(line) for line in answer.splitlines())
    concurrency = f"{planned['photos_at_once']} x {planned['threads_each']}"
    return Timing(finished["seconds"] / finished["done"], concurrency)


def deblur(photos: list[Path], folder: Path, model: str) -> Timing:
    """One process per photo, timed from start to end."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        started = time.perf_counter()
        for photo in photos:
            subprocess.run([*command("deblur", model), photo, "-o", f"{out}/", "--quiet"], check=True)
        return Timing((time.perf_counter() - started) / len(photos), "one process each")


def command(name: str, model: str) -> list[str]:
    program = [sys.executable, "-m", "defocusctl", name]
    return [*program, "--model", model, "--weights", "bundled", "--scale", "1", "--offline"]


def make_photos(folder: Path, count: int, size: Size) -> None:
    """JPEG photos of blobs with grain."""
    folder.mkdir()
    for i in range(count):
        random = np.random.default_rng(i)
        blobs = cv2.resize(random.random((24, 36, 3)), (size.width, size.height)) * 255
        noisy = np.clip(blobs + random.normal(0, 3, blobs.shape), 0, 255)
        Image.fromarray(noisy.astype(np.uint8)).save(folder / f"{i:04}.jpg", quality=92)


if __name__ == "__main__":
    main()
