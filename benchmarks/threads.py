"""Times tiles on a CPU: two threads for one tile, a thread each for two tiles at once, and one thread alone.

    python benchmarks/threads.py [--model iniknet] [--tiles 384 480] [--rounds 2]

Seconds per megapixel of the tiles, in one process. For a busy core, run another program beside it.
"""

import argparse
import time

import numpy as np

from defocusctl.deblurrer import Deblurrer
from defocusctl.geometry import Box
from defocusctl.photo import Photo
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.restoring.tile_runner import TileRunner
from defocusctl.system.threads import in_order, torch_threads

WAYS = {"two threads": (1, 2), "two tiles": (2, 1), "one thread": (1, 1)}
"""Tiles at once, and threads for each."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="iniknet")
    parser.add_argument("--tiles", type=int, nargs="+", default=[384, 480])
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    deblurrer = Deblurrer.load(given.model, "bundled", RestoreSettings(device="cpu"), offline=True)
    runner = deblurrer.restorer.runner
    for _ in range(given.rounds):
        for side in given.tiles:
            found = {name: seconds(runner, side, *way) for name, way in WAYS.items()}
            print(f"{side} px:", *(f"{name} {value:.1f}" for name, value in found.items()), flush=True)


def seconds(runner: TileRunner, side: int, at_once: int, threads: int) -> float:
    """Seconds per megapixel of tiles of this size, after one round to warm up."""
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    photo, tiles = Photo.of_pixels(noise, 255.0), [Box(0, 0, side, side)] * 2
    with torch_threads(threads):
        for _ in range(2):
            started = time.perf_counter()
            list(in_order(lambda box: runner.run([photo], box), tiles, at_once))
    return (time.perf_counter() - started) / (len(tiles) * side**2) * 1e6


if __name__ == "__main__":
    main()
