"""Compares the default path with the plain float32 network on a whole photo, on the CPU.

    python benchmarks/speed.py [--width 1200] [--height 800] [--rounds 3] [--precision auto]

Times do not depend on the weights, so initial ones are used. Each round runs both, one after the other, in
separate processes (the default path makes the C library keep freed memory, which would also help the plain
network); the table shows medians of seconds and of each round's ratio, in wall-clock and processor time. On a
busy machine, only the latter is meaningful, with OMP_NUM_THREADS=1.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from defocusctl.__main__ import SPINS
from defocusctl.models.catalogue import NETWORKS
from defocusctl.models.prediction import Network
from defocusctl.photo import Photo
from defocusctl.photo.geometry import Box, Size
from defocusctl.restoring.restorer import Restorer
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.restoring.tile_runner import read_tile
from defocusctl.restoring.tiles import padded_size

Pixels: TypeAlias = npt.NDArray[np.uint8]
Run: TypeAlias = Callable[[Pixels], str]


@dataclass(frozen=True)
class Timing:
    """One photo: wall-clock seconds, processor seconds, and the settings."""

    clock: float
    processor: float
    settings: str


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--height", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="auto", help="of the default path")
    parser.add_argument("--only", nargs=2, metavar=("MODEL", "PATH"), help="one timing: 'plain' or 'default'")
    arguments = parser.parse_args()
    if arguments.only:
        model, path = arguments.only
        timing = timed(model, path, Size(arguments.height, arguments.width), arguments.precision)
        print(json.dumps(asdict(timing)))
        return
    print(f"{arguments.width}x{arguments.height} pixels, {torch.get_num_threads()} threads\n")
    print("| network | plain float32, s | default path, s | faster by | by processor time | settings |")
    print("|---|---:|---:|---:|---:|---|")
    for model in NETWORKS:
        rounds = [
            (one_process(model, "plain"), one_process(model, "default")) for _ in range(arguments.rounds)
        ]
        plain = statistics.median(slow.clock for slow, _ in rounds)
        default = statistics.median(fast.clock for _, fast in rounds)
        ratio = statistics.median(slow.clock / fast.clock for slow, fast in rounds)
        processor = statistics.median(slow.processor / fast.processor for slow, fast in rounds)
        settings = rounds[0][1].settings
        print(
            f"| {model} | {plain:.2f} | {default:.2f} | {ratio:.2f} | {processor:.2f} | {settings} |",
            flush=True,
        )


def one_process(model: str, path: str) -> Timing:
    """One timing in a separate process."""
    command = [sys.executable, __file__, *sys.argv[1:], "--only", model, path]
    environment = dict(os.environ)
    if path == "default":
        environment.setdefault("GOMP_SPINCOUNT", SPINS)  # as the command does
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return Timing(**json.loads(answer))


def timed(model: str, path: str, size: Size, precision: str) -> Timing:
    """Time one photo after a warm-up on a small one."""
    torch.manual_seed(0)
    network = NETWORKS[model]()
    network.initialise()
    generator = np.random.default_rng(0)
    photo = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
    run = plain_runner(network) if path == "plain" else default_runner(network, precision)
    run(photo[:128, :128])
    started, processor_started = time.perf_counter(), time.process_time()
    settings = run(photo)
    return Timing(time.perf_counter() - started, time.process_time() - processor_started, settings)


def plain_runner(network: Network) -> Run:
    network.eval()

    @torch.inference_mode()
    def run(photo: Pixels) -> str:
        tile = read_tile(photo, 255.0, Box(0, 0, *padded_size(Size(*photo.shape[:2]))))
        network(torch.from_numpy(tile)[None])
        return "whole, fp32"

    return run


def default_runner(network: Network, precision: str) -> Run:
    restorer = Restorer(network, RestoreSettings(device="cpu", precision=precision))

    def run(photo: Pixels) -> str:
        report = restorer.restore([Photo.of_pixels(photo, 255.0)])[0].report
        return f"{report.tiles} tiles of {report.tile}, overlap {report.overlap}, {report.precision}"

    return run


if __name__ == "__main__":
    main()
