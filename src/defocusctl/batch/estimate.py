"""What a batch would take, before it is begun: from the sizes in the files' headers and a measured probe.

Both are estimates. Time counts the network alone, at the speed of a small piece of noise and as if the
concurrency did not get into each other's way. Memory is what the process takes after that piece, the float
tensors of one tile per lane, and the largest photos there are, as read and as restored with 16 bits, in
every place.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np
import psutil

from defocusctl.batch.concurrency import Concurrency, threads_each
from defocusctl.batch.job import Job
from defocusctl.deblurrer import Deblurrer
from defocusctl.geometry import Size
from defocusctl.photo.targets import format_of_suffix
from defocusctl.restoring.restorer import Restorer

PROBE = 320
"""Pixels a side of the piece that the speed is measured on."""
BYTES_PER_PIXEL = 12
"""Of a photo in memory: three colours of 16 bits, as read and as restored."""


class Estimate(NamedTuple):
    """``megapixels`` and ``seconds`` of the whole batch, ``memory`` in bytes; ``unknown`` files have no
    header that could be read and count as much as the others on average."""

    megapixels: float
    seconds: float
    memory: int
    unknown: int


def estimate(jobs: Sequence[Job], deblurrer: Deblurrer, concurrency: Concurrency) -> Estimate:
    """What restoring the photos of all jobs would take on this machine now."""
    restorer = deblurrer.restorer
    sizes = [size for size in (photo_size(job.source) for job in jobs) if size is not None]
    if not sizes:
        return Estimate(0.0, 0.0, psutil.Process().memory_info().rss, len(jobs))
    with threads_each(concurrency):
        seconds_per_pixel = _probe(restorer)
    plans = [restorer.plan(size) for size in sizes]
    computed = sum(plan.count * plan.tile.pixels for plan in plans) * len(jobs) / len(sizes)
    tile = max(plan.tile.pixels for plan in plans)
    largest = sorted((size.pixels for size in sizes), reverse=True)[: concurrency.photos]
    memory = psutil.Process().memory_info().rss + sum(largest) * BYTES_PER_PIXEL
    if restorer.device.type == "cpu":
        memory += concurrency.computing * tile * deblurrer.network.bytes_per_pixel
    return Estimate(
        megapixels=mean(size.megapixels for size in sizes) * len(jobs),
        seconds=computed * seconds_per_pixel / concurrency.computing,
        memory=memory,
        unknown=len(jobs) - len(sizes),
    )


def photo_size(path: Path) -> Size | None:
    """The size that a photo's header claims; None if it cannot be read."""
    from PIL import Image
    from tifffile import TiffFile

    try:
        if format_of_suffix(path.suffix) == "TIFF":
            with TiffFile(path) as file:
                page = file.pages.first
                return Size(page.imagelength, page.imagewidth)
        with Image.open(path) as image:
            return Size(image.height, image.width)
    except Exception:  # libraries may raise anything on broken files
        return None


def _probe(restorer: Restorer) -> float:
    """Seconds that a pixel of a tile takes."""
    noise = np.random.default_rng(0).integers(0, 256, (PROBE, PROBE, 3), dtype=np.uint8)
    for _ in range(2):  # the first one warms up
        started = time.perf_counter()
        restorer.restore(noise, full_scale=255.0)
    plan = restorer.plan(Size(PROBE, PROBE))
    return (time.perf_counter() - started) / (plan.count * plan.tile.pixels)
