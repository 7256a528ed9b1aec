"""Peak memory of restoring photos of 6 and of 48 megapixels on the CPU, and what of its growth is the photo.

    python benchmarks/memory.py [--models iniknet nrknet]

Every photo is restored in a process of its own, with the default settings. The image's own buffers are the
photo as it was read and the result, both of the photo's type (uint8). Takes about 20 minutes per network on
two cores.
"""

import argparse
import json
import subprocess
import sys

import numpy as np
import torch

from defocusctl.models.catalogue import NETWORKS
from defocusctl.restore import Restorer, RestoreSettings

SIZES = ((2000, 3000), (6000, 8000))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--only", nargs=3, metavar=("MODEL", "HEIGHT", "WIDTH"), help="one measurement")
    arguments = parser.parse_args()
    if arguments.only:
        model, height, width = arguments.only
        print(json.dumps(peak_of(model, int(height), int(width))))
        return
    print("| network | 6 MP, MiB | 48 MP, MiB | growth, MiB | image's own buffers, MiB |")
    print("|---|---:|---:|---:|---:|")
    for model in arguments.models:
        small, large = (in_own_process(model, *size) for size in SIZES)
        buffers = 2 * 3 * (SIZES[1][0] * SIZES[1][1] - SIZES[0][0] * SIZES[0][1])
        row = (small, large, large - small, buffers)
        print(f"| {model} | " + " | ".join(f"{value / 2**20:.0f}" for value in row) + " |", flush=True)


def in_own_process(model: str, height: int, width: int) -> int:
    command = [sys.executable, __file__, "--only", model, str(height), str(width)]
    return int(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def peak_of(model: str, height: int, width: int) -> int:
    """The largest resident size of this process, in bytes."""
    torch.manual_seed(0)
    network = NETWORKS[model]()
    network.initialise()
    row = np.random.default_rng(0).integers(0, 256, (1, width, 3), dtype=np.uint8)
    photo = np.repeat(row, height, axis=0)
    restorer = Restorer(network, "RGB", RestoreSettings(device="cpu"))
    return restorer.restore(photo, full_scale=255.0).report.peak_memory


if __name__ == "__main__":
    main()
