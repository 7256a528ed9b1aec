"""Which files of a set belong together: one reader for every way of naming the two photos of a pair."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from defocusctl.data.found import EvaluationImage, Reading, folders_in, naming, some_photos_in
from defocusctl.data.pairs import photos_in

Pair = tuple[Path, Path]
Key = Callable[[Path], str | None]

LAST_NUMBER = re.compile(r"(\d+)\D*$")
LARGEST_STEP = 1  # between the numbers of a DPDD pair: the camera took one right after the other


def same_names(blurred: Path, sharp: Path) -> Reading:
    """Pairs of the files with the same stem."""
    return _by_key(blurred, sharp, _stem, _stem)


def noise_levels(blurred: Path, sharp: Path) -> Reading:
    """RTF: ``image/0/image_01.png`` with ``GT/sharp_01.png``; beside ``0`` are other noise levels."""
    reading = _by_key(blurred, sharp, _matching(r"(?i)image_0*(\d+)"), _matching(r"(?i)sharp_0*(\d+)"))
    others = [folder for folder in folders_in(blurred.parent) if folder != blurred]
    ignored = tuple(f"{blurred.parent.name}/{folder.name} (another noise level)" for folder in others)
    return reading._replace(ignored=ignored)


def in_order(blurred: Path, sharp: Path) -> Reading:
    """DPDD: the two photos of a pair are neighbours in the camera's numbering, so sorted order pairs them.

    Where the counts differ, or an order puts together what the numbers say belongs elsewhere, only files are
    paired that have no other possible partner. Label files beside the folders give the images their labels.
    """
    inputs, twice = _keyed(photos_in(blurred), _stem)
    partners, more = _keyed(photos_in(sharp), _stem)
    fewer, others = sorted((inputs.keys(), partners.keys()), key=len)
    if fewer <= others:
        reading = same_names(blurred, sharp)
    else:
        pairs, odd = _in_order(list(inputs.values()), list(partners.values()))
        images = tuple(EvaluationImage(one.stem, one, partner) for one, partner in pairs)
        reading = Reading(images, (*twice, *more, *odd))
    images, wrong = labelled(reading.images, blurred.parent)
    return Reading(images, (*reading.problems, *wrong))


def apertures(blurred: Path, sharp: Path) -> Reading:
    """LFDOF: all ``input/IMG_x/IMG_x_apN_MM.png`` share ``ground_truth/IMG_x.png``."""
    return _by_scene(blurred, sharp, _stem, "_ap", "IMG_x/IMG_x_ap1_01.png")


def stops(blurred: Path, sharp: Path) -> Reading:
    """RealDefocus: all ``gt/12/12_f2.0.JPG``, the targets of bokeh rendering, share ``in/12_f22.JPG``."""
    return _by_scene(blurred, sharp, _matching(r"(.+)_f[\d.]+"), "_f", "12/12_f2.0.JPG")


def _by_scene(blurred: Path, sharp: Path, scene_of: Key, infix: str, example: str) -> Reading:
    """A folder of blurred photos for each scene, named after it, and one sharp photo of it."""
    truths, problems = _keyed(photos_in(sharp), scene_of)
    scenes = folders_in(blurred)
    images: list[EvaluationImage] = []
    misplaced, empty = some_photos_in(blurred), []
    for scene in scenes:
        photos = some_photos_in(scene)
        fitting = [path for path in photos if path.stem.startswith(f"{scene.name}{infix}")]
        misplaced += [path for path in photos if path not in fitting]
        kept, twice = _keyed(fitting, _stem)
        problems += twice
        if not photos:
            empty.append(scene)
        elif scene.name in truths:
            images += [EvaluationImage(path.stem, path, truths[scene.name]) for path in kept.values()]
    names = {scene.name for scene in scenes}
    problems += _alone([scene for scene in scenes if scene.name not in truths], "scene", sharp)
    problems += _alone([path for stem, path in truths.items() if stem not in names], "sharp photo", blurred)
    if empty:
        problems.append(f"no photo of the scene: {naming(empty)}: unpack the set again")
    if misplaced:
        remedy = f"move each to the folder of its scene, as {example}"
        problems.append(f"not named after the folder and left out: {naming(misplaced)}: {remedy}")
    return Reading(tuple(images), tuple(problems))


def alone(folder: Path) -> Reading:
    """Photos without reference; where two differ in the suffix only, all are named with it."""
    photos = photos_in(folder)
    unique = len({path.stem for path in photos}) == len(photos)
    return Reading(tuple(EvaluationImage(path.stem if unique else path.name, path, None) for path in photos))


def _by_key(blurred: Path, sharp: Path, blurred_key: Key, sharp_key: Key) -> Reading:
    inputs, problems = _keyed(photos_in(blurred), blurred_key)
    partners, more = _keyed(photos_in(sharp), sharp_key)
    problems += more
    problems += _alone([path for key, path in inputs.items() if key not in partners], "blurred photo", sharp)
    problems += _alone([path for key, path in partners.items() if key not in inputs], "sharp photo", blurred)
    images = tuple(
        EvaluationImage(path.stem, path, partners[key]) for key, path in inputs.items() if key in partners
    )
    return Reading(images, tuple(problems))


def _keyed(photos: Sequence[Path], key: Key) -> tuple[dict[str, Path], list[str]]:
    """The photos by what pairs them; those without, and all but the first of the same, are problems."""
    keyed: dict[str, Path] = {}
    twice, misnamed = [], []
    for path in photos:
        value = key(path)
        if value is None:
            misnamed.append(path)
        elif keyed.setdefault(value, path) != path:
            twice.append(path)
    problems = []
    if twice:
        remedy = "keep one of them"
        problems.append(f"left out beside another file of the same name or number: {naming(twice)}: {remedy}")
    if misnamed:
        example = f"rename them like {next(iter(keyed.values())).name}, or" if keyed else "rename or"
        problems.append(f"left out for their names: {naming(misnamed)}: {example} remove them")
    return keyed, problems


def _alone(paths: Sequence[Path], kind: str, missing: Path) -> list[str]:
    """One line for files whose partner should be in the folder ``missing``."""
    if not paths:
        return []
    what = f"1 {kind} has" if len(paths) == 1 else f"{len(paths)} {kind}s have"
    where = f"{what} no partner in {missing.name}: {naming(paths)}"
    return [f"{where}: put the partner there, or remove what is alone"]


def _stem(path: Path) -> str:
    return path.stem


def _matching(pattern: str) -> Key:
    """What the group of a pattern matches, if the pattern is that of a file's whole stem."""

    def key(path: Path) -> str | None:
        match = re.fullmatch(pattern, path.stem)
        return match and match[1]

    return key


def _in_order(inputs: Sequence[Path], partners: Sequence[Path]) -> tuple[list[Pair], list[str]]:
    if len(inputs) == len(partners):
        pairs = list(zip(inputs, partners, strict=True))
        apart = [pair for pair in pairs if _step(*pair) > LARGEST_STEP]
        if not any(_near(one, partners) or _near(partner, inputs) for one, partner in apart):
            return pairs, [
                f"{naming(pair)} are a pair by their order, but their numbers differ by {_step(*pair)}: "
                "compare the two photos, and get the right ones if they show different scenes"
                for pair in apart
            ]
    pairs = _only_partners(inputs, partners)
    paired = {path for pair in pairs for path in pair}
    left = [path for path in (*inputs, *partners) if path not in paired]
    if not left:
        return pairs, []
    return pairs, [
        f"{len(left)} of {len(inputs)} blurred and {len(partners)} sharp photos cannot be paired: "
        f"{naming(left)}: the numbers of a pair differ by at most {LARGEST_STEP}, so put back "
        "the missing partner, or remove what is alone"
    ]


def _only_partners(inputs: Sequence[Path], partners: Sequence[Path]) -> list[Pair]:
    """Pairs of files whose numbers allow nobody else as partner, of either."""
    near = {one: _near(one, partners) for one in inputs}
    return [
        (one, found[0]) for one, found in near.items() if len(found) == 1 and _near(found[0], inputs) == [one]
    ]


def _near(path: Path, others: Sequence[Path]) -> list[Path]:
    """The files with numbers that a partner of ``path`` could have."""
    if _number(path) is None:
        return []
    return [other for other in others if _number(other) is not None and _step(path, other) <= LARGEST_STEP]


def _step(one: Path, other: Path) -> int:
    """How far apart the numbers of two files are; 0 if one has none."""
    first, second = _number(one), _number(other)
    return 0 if first is None or second is None else abs(first - second)


def _number(path: Path) -> int | None:
    match = LAST_NUMBER.search(path.stem)
    return int(match[1]) if match else None


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
