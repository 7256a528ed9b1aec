"""The accuracy cost of overlap and precision: largest differences from the whole photo in float32.

    python benchmarks/tiling.py PHOTO... [--weights-iniknet FILE] [--weights-nrknet FILE]

Every photo is cropped to at most 384 x 640 pixels at its centre. Differences are in grey levels (of 255), the
largest over all pixels and photos. Tiles are as small as the overlap allows, to have the most seams.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from receptive_field import receptive_radius

from defocusctl.models.catalogue import NETWORKS
from defocusctl.photo import Photo, read_photo
from defocusctl.restoring.restorer import Restorer
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.restoring.tiles import smallest_tile
from defocusctl.weights.checkpoint import load_checkpoint
from defocusctl.weights.resolve import resolve_weights

Floats = npt.NDArray[np.float32]
OVERLAPS = (16, 32, 40, 48, 64)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--models", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--weights-iniknet")
    parser.add_argument("--weights-nrknet")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    photos = [centre(path) for path in arguments.photos]
    for model in arguments.models:
        path = resolve_weights(model, getattr(arguments, f"weights_{model}"), offline=True).path
        measure(model, path, photos, arguments.device)


def centre(path: Path) -> Floats:
    """The middle of a photo in [0, 1], in floating point so that nothing is rounded."""
    photo = read_photo(path)
    height, width, _ = photo.pixels.shape
    top, left = max(0, height - 384) // 2, max(0, width - 640) // 2
    part = photo.pixels[top : top + 384, left : left + 640]
    return np.asarray(part / photo.full_scale, dtype=np.float32)


def measure(model: str, weights: Path, photos: Sequence[Floats], device: str) -> None:
    def restored(precision: str, tile: int, overlap: int) -> list[Floats]:
        settings = RestoreSettings(tile=tile, overlap=overlap, device=device, precision=precision)
        checkpoint = load_checkpoint(weights, model_name=model)
        restorer = Restorer(checkpoint.model, settings)
        return [restorer.restore([Photo.of_pixels(photo, 1.0)])[0].pixels for photo in photos]

    def worst(results: Sequence[Floats]) -> str:
        differences = [np.abs(one - other) * 255 for one, other in zip(results, whole, strict=True)]
        largest = max(float(difference.max()) for difference in differences)
        root_mean_square = max(float(np.sqrt((difference**2).mean())) for difference in differences)
        return f"{largest:9.4f} | {root_mean_square:9.5f}"

    whole = restored("fp32", 0, 0)
    network = load_checkpoint(weights, model_name=model).model
    print(f"\n{model} (receptive radius {receptive_radius(network)}), {len(photos)} photos\n")
    print("| what | largest | RMS |\n|---|---:|---:|")
    change = [np.abs(one - photo).max() * 255 for one, photo in zip(whole, photos, strict=True)]
    print(f"| (largest change the network makes) | {max(change):9.1f} | |")
    print(f"| whole, bf16 | {worst(restored('bf16', 0, 0))} |", flush=True)
    for overlap in OVERLAPS:
        tile = smallest_tile(overlap) + 96
        print(
            f"| overlap {overlap}, tiles {tile}, fp32 | {worst(restored('fp32', tile, overlap))} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
