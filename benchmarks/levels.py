"""Quality and speed of restoring by levels (docs/levels.md).

    python benchmarks/levels.py quality FOLDER... [--model iniknet] [--largest 2.0]
    python benchmarks/levels.py speed PHOTOS [--model iniknet] [--megapixels 24]
    python benchmarks/levels.py sharp PHOTOS [--model iniknet]
    python benchmarks/levels.py enlarged FOLDER... [--model iniknet] [--pairs 6]

``quality`` takes folders with ``source`` and ``target`` photos of the same names and prints the gain in PSNR
over the blurred photo: mean and worst, with the network alone at scale 1 and 1/2 and with the scale
``auto``. ``speed`` covers a large photo with sharp ones from PHOTOS, blurs it by known radii and times
``auto`` against scale 1: most of it blurred by 8 pixels or more, blurred by 1.2 pixels everywhere, and not
blurred. All runs of a photo are in one process, one after another. ``sharp`` prints the PSNR of sharp photos
against themselves, restored with ``auto``. ``enlarged`` enlarges the first pairs of each folder four times,
bicubically, and prints the gain and the time at their own size, and enlarged with ``auto`` and at scale 1/4.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from defocusctl.deblurrer import Deblurrer
from defocusctl.photo import Photo, read_photo
from defocusctl.restoring.restored import Restored

Pixels = npt.NDArray[Any]

SCALES = ("1", "1/2", "auto")
LARGEST_DISC = 24
ENLARGED = 4
SHARP_PART = 0.1
"""Of the width of the photo that is mostly blurred."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    quality_parser = commands.add_parser("quality")
    quality_parser.add_argument("folders", type=Path, nargs="+")
    quality_parser.add_argument("--largest", type=float, default=2.0, help="megapixels")
    quality_parser.set_defaults(run=quality)
    speed_parser = commands.add_parser("speed")
    speed_parser.add_argument("photos", type=Path)
    speed_parser.add_argument("--megapixels", type=float, default=24)
    speed_parser.set_defaults(run=speed)
    sharp_parser = commands.add_parser("sharp")
    sharp_parser.add_argument("photos", type=Path)
    sharp_parser.set_defaults(run=unchanged)
    enlarged_parser = commands.add_parser("enlarged")
    enlarged_parser.add_argument("folders", type=Path, nargs="+")
    enlarged_parser.add_argument("--pairs", type=int, default=6)
    enlarged_parser.set_defaults(run=enlarged)
    for each in (quality_parser, speed_parser, sharp_parser, enlarged_parser):
        each.add_argument("--model", default="iniknet")
        each.add_argument("--weights", default="bundled")
    given = parser.parse_args()
    given.run(given)


def quality(given: argparse.Namespace) -> None:
    """Print the gains on every folder of pairs."""
    deblurrers = {
        scale: Deblurrer.from_pretrained(given.model, given.weights, scale=scale, offline=True)
        for scale in SCALES
    }
    for folder in given.folders:
        gains: dict[str, list[float]] = {scale: [] for scale in SCALES}
        seconds = dict.fromkeys(SCALES, 0.0)
        megapixels = 0.0
        for source in sorted((folder / "source").iterdir()):
            photo = read_photo(source)
            if photo.size.megapixels > given.largest:
                continue
            target = read_photo(next((folder / "target").glob(f"{source.stem}.*")))
            megapixels += photo.size.megapixels
            for scale, deblurrer in deblurrers.items():
                restored = deblurrer.restorer.restore([photo])[0]
                gains[scale].append(psnr(restored.pixels, target) - psnr(photo.pixels, target))
                seconds[scale] += restored.report.seconds
            print(f"  {source.stem}", *(f"{scale} {gains[scale][-1]:+.2f}" for scale in SCALES), flush=True)
        print(f"{folder.name}: {len(gains['1'])} pairs, {megapixels:.1f} MP")
        for scale in SCALES:
            mean, worst = np.mean(gains[scale]), min(gains[scale])
            print(f"  {scale:>4}: {mean:+.3f} dB, worst {worst:+.2f}, {seconds[scale] / megapixels:.1f} s/MP")


def psnr(pixels: Pixels, target: Photo) -> float:
    """PSNR in dB of 8-bit or 16-bit pixels against a photo of the same shape."""
    error = (pixels.astype(np.float64) - target.pixels) / target.full_scale
    return float(-10 * np.log10(np.mean(error**2)))


def unchanged(given: argparse.Namespace) -> None:
    """Print how little sharp photos change."""
    auto = Deblurrer.from_pretrained(given.model, given.weights, offline=True)
    for path in sorted(given.photos.iterdir()):
        photo = read_photo(path)
        restored = auto.restorer.restore([photo])[0]
        same = np.array_equal(restored.pixels, photo.pixels)
        change = "unchanged" if same else f"{psnr(restored.pixels, photo):.1f} dB"
        print(f"{path.stem}: {change}", restored.report.levels, flush=True)


def enlarged(given: argparse.Namespace) -> None:
    """Print gain and time of pairs at their own size with ``auto``, and enlarged with ``auto`` and 1/4."""
    auto, quarter = (
        Deblurrer.from_pretrained(given.model, given.weights, scale=scale, offline=True).restorer
        for scale in ("auto", "1/4")
    )
    ways = ((1, auto), (ENLARGED, auto), (ENLARGED, quarter))
    for folder in given.folders:
        gains, seconds = np.zeros(len(ways)), np.zeros(len(ways))
        for source in sorted((folder / "source").iterdir())[: given.pairs]:
            photo = read_photo(source)
            target = read_photo(next((folder / "target").glob(f"{source.stem}.*")))
            for i, (factor, restorer) in enumerate(ways):
                large, truth = (
                    Photo.of_pixels(resized(each.pixels, factor), each.full_scale) for each in (photo, target)
                )
                restored = restorer.restore([large])[0]
                gains[i] += (psnr(restored.pixels, truth) - psnr(large.pixels, truth)) / given.pairs
                seconds[i] += restored.report.seconds
        print(f"{folder.name}: {gains.round(2)} dB on average, {seconds.round(1)} s in all", flush=True)


def resized(pixels: Pixels, factor: int) -> Pixels:
    """Pixels enlarged bicubically."""
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)


def speed(given: argparse.Namespace) -> None:
    """Print the times for photos that are blurred in three ways."""
    sharp = mosaic(given.photos, given.megapixels)
    photos = {
        "blurred by 8 pixels and more": graded(sharp),
        "by 1.2 pixels": disc(sharp, 1.2),
        "in focus": sharp,
    }
    one = Deblurrer.from_pretrained(given.model, given.weights, scale="1", offline=True)
    auto = Deblurrer.from_pretrained(given.model, given.weights, offline=True)
    for name, pixels in photos.items():
        started = time.perf_counter()
        restored: Restored = auto.restorer.restore([Photo.of_pixels(pixels, 255.0)])[0]
        seconds = time.perf_counter() - started
        shares = ", ".join(f"{scale}: {share:.2f}" for scale, share in restored.report.levels.items())
        print(f"{name}: auto {seconds:.1f} s, {restored.report.tiles} tiles ({shares})", flush=True)
    started = time.perf_counter()
    restored = one.restorer.restore([Photo.of_pixels(sharp, 255.0)])[0]
    print(f"scale 1: {time.perf_counter() - started:.1f} s, {restored.report.tiles} tiles")


def mosaic(folder: Path, megapixels: float) -> Pixels:
    """A photo of 3 : 2 covered with the photos of a folder, shown at their full size."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    canvas = np.zeros((height, round(1.5 * height), 3), np.uint8)
    photos = [read_photo(path).pixels[:512, :512] for path in sorted(folder.iterdir())[:100]]
    photos = [photo for photo in photos if photo.shape == (512, 512, 3)]
    for row, top in enumerate(range(0, canvas.shape[0], 512)):
        for column, left in enumerate(range(0, canvas.shape[1], 512)):
            part = canvas[top : top + 512, left : left + 512]
            part[:] = photos[(13 * row + column) % len(photos)][: part.shape[0], : part.shape[1]]
    return canvas


def graded(pixels: Pixels) -> Pixels:
    """In focus at the left, then blurred by 8, 12, 16 and 24 pixels."""
    width = pixels.shape[1]
    edges = [0, *np.linspace(SHARP_PART * width, width, 5).astype(int)]
    blurred = pixels.copy()
    for radius, left, right in zip((8, 12, 16, LARGEST_DISC), edges[1:-1], edges[2:], strict=True):
        start = left - LARGEST_DISC
        blurred[:, left:right] = disc(pixels[:, start:right], radius)[:, LARGEST_DISC:]
    return blurred


def disc(pixels: Pixels, radius: float) -> Pixels:
    """Pixels blurred with a disc in linear light (gamma 2.2)."""
    reach = int(np.ceil(radius))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1).astype(np.float32)
    light = (pixels.astype(np.float32) / 255) ** 2.2
    blurred = cv2.filter2D(light, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)
    return np.rint(255 * np.clip(blurred, 0, 1) ** (1 / 2.2)).astype(np.uint8)


if __name__ == "__main__":
    main()
