"""Restormer's indoor and outdoor labels of DPDD's test split.

Beside the folders of its copy lie ``indoor_labels.npy`` and ``outdoor_labels.npy``. They hold the places,
counted from 1, of the photos in the sorted list (Restormer's evaluation subtracts one before it indexes).
"""

from pathlib import Path

import numpy as np

from defocusctl.data.datasets.found import EvaluationImage

LABELS = ("indoor", "outdoor")


def labelled(
    images: tuple[EvaluationImage, ...], folder: Path
) -> tuple[tuple[EvaluationImage, ...], list[str]]:
    """The images, in sorted order, with the labels that ``folder`` has for them, and what is wrong.

    Labels that are not for exactly these images are left out, and that is a problem.
    """
    files = [folder / f"{label}_labels.npy" for label in LABELS]
    missing = [path for path in files if not path.is_file()]
    if len(missing) == len(files):
        return images, []
    if missing:
        return images, [f"{missing[0].name} is missing: put it beside the other label file, or remove that"]
    try:
        places = [_places(path) for path in files]
    except (OSError, ValueError, EOFError) as error:
        return images, [f"labels left out, a label file cannot be read ({error}): get it again"]
    if sorted(place for group in places for place in group) != list(range(1, len(images) + 1)):
        largest = max((place for group in places for place in group), default=0)
        return images, [
            f"labels left out, indoor_labels.npy and outdoor_labels.npy are for {largest} photos "
            f"and not for these {len(images)}: complete the photos, or get both label files again"
        ]
    label_of = {place: label for label, group in zip(LABELS, places, strict=True) for place in group}
    return tuple(image._replace(labels=(label_of[place],)) for place, image in enumerate(images, start=1)), []


def _places(path: Path) -> list[int]:
    return [int(place) for place in np.ravel(np.load(path, allow_pickle=False))]
