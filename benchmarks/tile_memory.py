"""Peak memory of a tile's tensors per pixel, as PyTorch's profiler sees it.

    python benchmarks/tile_memory.py [--side 384] [--weights iniknet/bundled iniknet/fast nrknet/bundled]

What the allocator wastes between tensors comes on top: see the peak of a whole run (`benchmarks/memory.py`).
"""

import argparse

import numpy as np
from torch.profiler import ProfilerActivity, profile

from defocusctl.deblurrer import Deblurrer
from defocusctl.photo import Photo
from defocusctl.photo.geometry import Box
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.system.threads import torch_threads


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=384, help="pixels")
    parser.add_argument("--weights", nargs="+", default=["iniknet/bundled", "iniknet/fast", "nrknet/bundled"])
    given = parser.parse_args()
    print("| weights | float32, bytes per pixel | bfloat16 |\n|---|---:|---:|")
    for name in given.weights:
        model, _, weights = name.partition("/")
        cells = [f"{peak(model, weights, precision, given.side):.0f}" for precision in ("fp32", "bf16")]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def peak(model: str, weights: str, precision: str, side: int) -> float:
    """The largest sum of tensors alive at once, in bytes per pixel of one tile."""
    settings = RestoreSettings(device="cpu", precision=precision)
    runner = Deblurrer.load(model, weights, settings, offline=True).restorer.runner
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    photo, tile = Photo.of_pixels(noise, 255.0), Box(0, 0, side, side)
    with torch_threads(1):
        runner.run([photo], tile)  # the first time prepares the layers
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            runner.run([photo], tile)
    events = profiled.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    return float(np.cumsum([change for _, change in changes]).max()) / side**2


if __name__ == "__main__":
    main()
