"""Peak memory of `defocusctl deblur` on a small and a large photo, and how much of the growth is the photo.

    python benchmarks/memory.py [--models iniknet nrknet] [--megapixels 6 48] [--tile 256]

The command deblurs each file in its own process with the bundled weights. The peak is the largest resident
size of that process, including reading and writing. The photo's own buffers are its pixels before and after
(both uint8 RGB) and the encoded input and output files.
"""

import argparse
import math
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

FORMATS = ("jpg", "png")
MEBIBYTE = 2**20


class Measurement(NamedTuple):
    """Bytes: the peak of one run, the pixels in and out, and the files in and out."""

    peak: int
    pixels: int
    files: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["iniknet", "nrknet"])
    parser.add_argument("--megapixels", nargs=2, type=float, default=[6.0, 48.0], metavar=("SMALL", "LARGE"))
    parser.add_argument("--tile", default="auto", help="as of `defocusctl deblur`")
    arguments = parser.parse_args()
    small, large = arguments.megapixels
    print(
        f"| network | file | {small:g} MP, MiB | {large:g} MP, MiB | growth, MiB "
        "| of pixels in and out, MiB | of files in and out, MiB |"
    )
    print("|---|---|---:|---:|---:|---:|---:|")
    for model in arguments.models:
        for suffix in FORMATS:
            low, high = (measure(model, suffix, size, arguments.tile) for size in (small, large))
            growth = [after - before for before, after in zip(low, high, strict=True)]
            cells = [f"{value / MEBIBYTE:.1f}" for value in (low.peak, high.peak, *growth)]
            print(f"| {model} | {suffix} | " + " | ".join(cells) + " |", flush=True)


def measure(model: str, suffix: str, megapixels: float, tile: str) -> Measurement:
    """Deblur one photo of 4 : 3 in a separate process."""
    height = round(math.sqrt(megapixels * 1e6 * 3 / 4))
    width = round(height * 4 / 3)
    with tempfile.TemporaryDirectory() as folder:
        photo, result = (Path(folder) / f"{name}.{suffix}" for name in ("photo", "result"))
        # In a separate process: a child's peak is never below its parent's size when it was started.
        maker = multiprocessing.Process(target=make_photo, args=(photo, height, width))
        maker.start()
        maker.join()
        options = ["--model", model, "--weights", "bundled", "--tile", tile, "--offline", "--quiet"]
        command = [sys.executable, "-m", "defocusctl", "deblur", str(photo), "-o", str(result), *options]
        _, status, usage = os.wait4(subprocess.Popen(command).pid, 0)
        if status != 0:
            raise SystemExit(f"{' '.join(command)} failed")
        unit = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss
        files = photo.stat().st_size + result.stat().st_size
        return Measurement(usage.ru_maxrss * unit, 2 * 3 * height * width, files)


def make_photo(path: Path, height: int, width: int) -> None:
    """Waves with grain, so that files are as large as those of real photos."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    grain = rng.normal(0, 3, (min(height, 256), width, 3))
    pixels = np.empty((height, width, 3), np.uint8)
    wave = 40 * np.sin(np.arange(width) / 37)[:, None]
    for row in range(height):
        level = 128 + 40 * math.cos(row / 29)
        pixels[row] = np.rint(np.clip(level + wave + grain[row % len(grain)], 0, 255))
    Image.fromarray(pixels).save(path, quality=92)


if __name__ == "__main__":
    main()
