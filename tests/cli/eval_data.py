"""Datasets of tiny pictures with their true names, and evaluating them as a user does."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.cli.command import Answer, defocusctl, textured

CLASSICAL = ("--baseline", "unsharp", "--no-lpips", "--allow-partial", "-q")


def make_pair(blurred: Path, sharp: Path, shift: int, height: int = 64, width: int = 96) -> None:
    """A picture and what a small motion blur makes of it; ``shift`` makes them differ from others."""
    pixels = np.roll(textured(height, width), shift, axis=1).astype(int)
    smeared = (pixels + np.roll(pixels, 1, axis=1) + np.roll(pixels, 1 + shift % 3, axis=0)) // 3
    for path, image in ((blurred, smeared), (sharp, pixels)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.astype(np.uint8)).save(path)


def make_realdof(root: Path, count: int, height: int = 64, width: int = 96) -> None:
    """The first ``count`` pairs of a RealDOF."""
    for number in range(1, count + 1):
        name = f"{number:02}.png"
        folder = root / "RealDOF"
        make_pair(folder / "source" / name, folder / "target" / name, 3 * number, height, width)


def make_labelled_dpdd(root: Path, count: int, indoor: int) -> None:
    """The first ``count`` pairs of DPDD in Restormer's folders, the first ``indoor`` of them indoors."""
    folder = root / "DPDD" / "test" / "DPDD"
    for place in range(count):
        number = 10 + 10 * place
        blurred, sharp = (f"1P0A{taken:04}.png" for taken in (number, number - 1))
        make_pair(folder / "inputC" / blurred, folder / "target" / sharp, place)
    np.save(folder / "indoor_labels.npy", np.arange(1, indoor + 1))
    np.save(folder / "outdoor_labels.npy", np.arange(indoor + 1, count + 1))


def classical(root: Path, *arguments: object, dataset: str = "realdof") -> Answer:
    """Score the input and unsharp masking, which is quick."""
    return defocusctl("eval", "--dataset", dataset, "--root", root, *CLASSICAL, *arguments)


def scores(out: Path) -> list[dict[str, Any]]:
    """The rows of ``scores.csv``."""
    with (out / "scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))
