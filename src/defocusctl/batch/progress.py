"""The progress of a batch, from its entries; and an estimate before it starts.

The estimate uses the sizes in the files' headers and a measured probe. Time covers the network only, at the
speed of a small tile, as if photos did not slow each other down. Memory is what the process uses after
the probe, the float tensors of one tile for each photo being restored, and as many of the largest photos as
are in memory at once, as read and as restored with 16 bits.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import psutil

from defocusctl.batch.engine import Concurrency
from defocusctl.batch.jobs import Job
from defocusctl.batch.manifest import Entry, Status
from defocusctl.deblurrer import Deblurrer
from defocusctl.photo.geometry import Size
from defocusctl.photo.targets import format_of_suffix
from defocusctl.restoring.selection import leaves_enough
from defocusctl.system.threads import torch_threads

BYTES_PER_PIXEL = 12  # for a photo in memory: three colours of 16 bits, as read and as restored


@dataclass
class Progress:
    """Counts finished photos and estimates the time left from the sizes of the remaining files.

    ``before`` photos were done by earlier runs; ``sizes`` are the bytes of the files to do, by name. A photo
    may be added more than once; whether it failed is then decided by its last entry.
    """

    sizes: dict[str, int]
    before: int
    done: int = 0
    skipped: int = 0
    failures: dict[str, str] = field(default_factory=dict)  # the error of each that failed, by name
    megapixels: float = 0.0
    ended: int = 0
    _bytes: int = 0

    def __post_init__(self) -> None:
        self._all_bytes = sum(self.sizes.values())
        self._started = time.monotonic()
        self.total = len(self.sizes)  # photos to do in this run

    def expect(self, job: Job) -> None:
        """Count another photo to do."""
        self.sizes[job.name] = job.size
        self._all_bytes += job.size
        self.total += 1

    def add(self, entry: Entry) -> None:
        self.ended += 1
        self.failures.pop(entry.input, None)
        self._bytes += self.sizes.get(entry.input, 0)
        if entry.status is Status.DONE:
            self.done += 1
            self.megapixels += entry.report["megapixels"]
        elif entry.status is Status.FAILED:
            self.failures[entry.input] = entry.error or ""
        else:
            self.skipped += 1

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    @property
    def megapixels_per_second(self) -> float:
        return self.megapixels / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """None if it cannot be estimated yet."""
        if self.ended >= self.total:
            return 0.0
        if not self._bytes:
            return None
        return self.seconds * (self._all_bytes - self._bytes) / self._bytes

    def as_json(self) -> dict[str, Any]:
        return {
            "ended": self.ended,
            "total": self.total,
            "failed": len(self.failures),
            "megapixels_per_second": round(self.megapixels_per_second, 4),
            "seconds_left": None if self.seconds_left is None else round(self.seconds_left, 1),
        }


class Estimate(NamedTuple):
    """Megapixels and seconds for the whole batch, and memory in bytes.

    ``unknown`` files have no readable header and are counted at the average of the others.
    """

    megapixels: float
    seconds: float
    memory: int
    unknown: int


def estimate(jobs: Sequence[Job], deblurrer: Deblurrer, concurrency: Concurrency) -> Estimate:
    """Estimate the cost of restoring all jobs' photos on this machine now.

    With a scale of ``auto``, it is that of photos which need every level everywhere; most take less. Photos
    too small for the scale will fail and cost nothing.
    """
    restorer = deblurrer.restorer
    found = [photo_size(job.source) for job in jobs]
    sizes = [size for size in found if size is not None and leaves_enough(restorer.settings.scale, size)]
    count = len(sizes) + found.count(None)
    if not sizes:
        return Estimate(0.0, 0.0, psutil.Process().memory_info().rss, count)
    with torch_threads(concurrency.threads):
        seconds_per_pixel = restorer.seconds_per_pixel()
        plans = [plan for size in sizes for plan in restorer.planner.possible_plans(size)]
    computed = sum(plan.count * plan.tile.pixels for plan in plans) * count / len(sizes)
    tile = max(plan.tile.pixels for plan in plans)
    largest = sorted((size.pixels for size in sizes), reverse=True)[: concurrency.photos]
    memory = psutil.Process().memory_info().rss + sum(largest) * BYTES_PER_PIXEL
    if restorer.device.type == "cpu":
        memory += concurrency.computing * tile * restorer.planner.bytes_per_pixel
    return Estimate(
        megapixels=mean(size.megapixels for size in sizes) * count,
        seconds=computed * seconds_per_pixel / concurrency.computing,
        memory=memory,
        unknown=count - len(sizes),
    )


def photo_size(path: Path) -> Size | None:
    """The size from a photo's header; None if it cannot be read."""
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
