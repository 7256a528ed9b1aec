"""Measures the quality of weights.

python benchmarks/cards/quality.py MODEL WEIGHTS --data DIR --recipe RECIPE.toml [--twice] [--full FILE]
    [--limit N]

PSNR and SSIM of whole photos, restored with default settings and untouched, for every pair folder of the
recipe's validation table and for rendered defocus of its sharp photos; also how much sharp photos change.
--twice deblurs every result again; --full compares the weights with their single-precision version. Prints
Markdown tables.
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from defocusctl.data.pairs import PixelCache, as_float, pairs_in, photos_in
from defocusctl.deblurrer import Deblurrer
from defocusctl.evaluation.metrics import Quality, quality
from defocusctl.photo import Photo
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.training.recipe import Recipe, read_recipe
from defocusctl.training.validation import ValidationSets

CACHE = PixelCache(0)
SHARP = "already sharp"


class Pair(NamedTuple):
    """8-bit RGB pixels and the float32 target in [0, 1], (H, W, 3) each."""

    blurred: np.ndarray
    target: np.ndarray


class Scores(NamedTuple):
    """Quality of one pair: untouched, deblurred, deblurred twice, deblurred with single-precision weights."""

    before: Quality
    once: Quality
    twice: Quality | None
    full: Quality | None


def pairs_of(recipe: Recipe, data: Path, limit: int | None) -> Iterator[tuple[str, Iterable[Pair]]]:
    """The recipe's sets by name; the sharp photos, as their own targets, come last."""
    validation = recipe.validation
    for name, folder in validation.pairs.items():
        listed = pairs_in(data / folder / "source", data / folder / "target")[:limit]
        yield name, (Pair(CACHE.rgb(pair.blurred), as_float(CACHE.rgb(pair.sharp))) for pair in listed)
    alone = validation.model_copy(update={"pairs": {}, "limit": limit})
    crops = ValidationSets(alone, recipe.data.rendering, data).sets["rendered"]
    yield (
        "rendered",
        (
            Pair(
                np.round(blurred.permute(1, 2, 0).numpy() * 255).astype(np.uint8),
                np.ascontiguousarray(sharp.permute(1, 2, 0).numpy()),
            )
            for blurred, sharp in crops
        ),
    )
    photos = [path for folder in validation.sharp for path in photos_in(data / folder)][:limit]
    yield SHARP, (Pair(pixels, as_float(pixels)) for pixels in map(CACHE.rgb, photos))


def restored(deblurrer: Deblurrer, pixels: np.ndarray) -> np.ndarray:
    """The photo, restored with default settings, as 8-bit samples."""
    return deblurrer.restorer.restore([Photo.of_pixels(pixels, 255.0)])[0].pixels


def scores_of(pair: Pair, deblurrer: Deblurrer, full: Deblurrer | None, twice: bool) -> Scores:
    """The scores of one pair, with one network pass per distinct image."""
    once = restored(deblurrer, pair.blurred)

    def against_target(pixels: np.ndarray) -> Quality:
        return quality(as_float(pixels), pair.target)

    return Scores(
        against_target(pair.blurred),
        against_target(once),
        against_target(restored(deblurrer, once)) if twice else None,
        against_target(restored(full, pair.blurred)) if full else None,
    )


def gain_row(name: str, scores: list[Scores]) -> str:
    """One row of the table of gains."""
    gains = [score.once.psnr - score.before.psnr for score in scores]
    before, after = np.mean([s.before for s in scores], axis=0), np.mean([s.once for s in scores], axis=0)
    means = f"{before[0]:.2f} / {before[1]:.4f} | {after[0]:.2f} / {after[1]:.4f}"
    return (
        f"| {name} | {len(gains)} | {means} | {np.mean(gains):+.2f} | {min(gains):+.2f} | {max(gains):+.2f} |"
    )


def twice_row(name: str, scores: list[Scores]) -> str:
    """One row of the table of gains after one and two passes."""
    first = [s.once.psnr - s.before.psnr for s in scores]
    second = [s.twice.psnr - s.before.psnr for s in scores if s.twice]
    means = f"{np.mean(first):+.2f} | {np.mean(second):+.2f}"
    return f"| {name} | {means} | {min(first):+.2f} | {min(second):+.2f} |"


def half_row(name: str, scores: list[Scores]) -> str:
    """One row of the table of losses from half precision."""
    losses = [s.full.psnr - s.once.psnr for s in scores if s.full]
    return f"| {name} | {np.mean(losses):+.4f} | {max(losses):+.4f} |"


def table(head: str, rows: Iterable[str]) -> str:
    """A Markdown table with an empty line before it."""
    return "\n".join(["", head, "|---" * (head.count("|") - 1) + "|", *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("weights")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--twice", action="store_true")
    parser.add_argument("--full")
    parser.add_argument("--limit", type=int)
    given = parser.parse_args()
    deblurrer, full = (
        Deblurrer.load(given.model, weights, RestoreSettings(), offline=True) if weights else None
        for weights in (given.weights, given.full)
    )
    assert deblurrer
    scores = {
        name: [scores_of(pair, deblurrer, full, given.twice) for pair in pairs]
        for name, pairs in pairs_of(read_recipe(given.recipe), given.data, given.limit)
    }
    sharp = scores.pop(SHARP)
    changes = [score.once.psnr for score in sharp]
    print(
        table(
            "| set | pairs | input PSNR / SSIM | output PSNR / SSIM | mean gain | worst | best |",
            [gain_row(*item) for item in scores.items()],
        )
    )
    print(
        f"\nAlready sharp photos ({len(changes)}), output against input: "
        f"{np.mean(changes):.2f} dB on average, {min(changes):.2f} dB at worst."
    )
    if given.twice:
        print(
            table(
                "| set | mean gain, one pass (dB) | two passes | worst, one | worst, two |",
                [twice_row(*item) for item in scores.items()],
            )
        )
        changes = [score.twice.psnr for score in sharp if score.twice]
        print(f"\nSharp photos deblurred twice: {np.mean(changes):.2f} dB, {min(changes):.2f} dB at worst.")
    if full:
        print(
            table(
                "| set | mean loss by half precision (dB) | largest |",
                [half_row(*item) for item in scores.items()],
            )
        )


if __name__ == "__main__":
    main()
