"""Times a photo on a CPU with all threads, with one, and as chosen by what other programs leave.

    python benchmarks/threads.py [--model iniknet] [--busy 1] [--width 1200] [--height 800] [--rounds 3]

Seconds for one photo at scale 1, medians, each time in a process of its own; ``--busy`` other processes keep
a processor each busy meanwhile, or for a part of it (``--share 0.5``: half of every 100 milliseconds).
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from defocusctl.__main__ import SPINS

WAYS = ("all threads", "one thread", "as chosen")
BUSY = """
import sys, time
share = float(sys.argv[1])
while True:
    start = time.monotonic()
    while time.monotonic() < start + 0.1 * share: pass
    time.sleep(0.1 * (1 - share))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="iniknet")
    parser.add_argument("--busy", type=int, default=0, metavar="N")
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--height", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--only", choices=WAYS, help="one timing")
    given = parser.parse_args()
    if given.only:
        print(seconds(given.model, given.width, given.height, given.only))
        return
    found: dict[str, list[float]] = {way: [] for way in given.ways}
    with busy_processes(given.busy, given.share):
        for _ in range(given.rounds):
            for way, times in found.items():
                times.append(one_process(way))
    for way, times in found.items():
        print(f"{way}: {statistics.median(times):.1f} s ({', '.join(f'{t:.1f}' for t in times)})")


@contextmanager
def busy_processes(count: int, share: float) -> Iterator[None]:
    others = [subprocess.Popen([sys.executable, "-c", BUSY, str(share)]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def one_process(way: str) -> float:
    environment = dict(os.environ, GOMP_SPINCOUNT=SPINS)
    if way == "one thread":
        environment["OMP_NUM_THREADS"] = "1"
    command = [sys.executable, __file__, *sys.argv[1:], "--only", way]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return float(answer)


def seconds(model: str, width: int, height: int, way: str) -> float:
    """Of a photo of noise, after a smaller one to warm up."""
    from defocusctl.deblurrer import Deblurrer
    from defocusctl.photo import Photo
    from defocusctl.restoring.settings import RestoreSettings
    from defocusctl.system import threads

    if way == "all threads":
        threads.ThreadsForIdleProcessors.adapt = lambda _self, _most: None  # type: ignore[method-assign]
    restorer = Deblurrer.load(model, "bundled", RestoreSettings(device="cpu"), offline=True).restorer
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    restorer.restore([Photo.of_pixels(pixels[:128, :128], 255.0)])
    started = time.perf_counter()
    restorer.restore([Photo.of_pixels(pixels, 255.0)])
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
