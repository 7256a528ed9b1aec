"""What a reader finds in the folders of a data set, and how files are named in a line about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

SHOWN = 4


class EvaluationImage(NamedTuple):
    """A blurred photo and, where the set has one, its sharp one.

    ``name`` is unique within the set and can name a file. ``labels`` are groups to average over as well,
    such as "indoor". ``white`` is that of floating-point files where it is not 1.
    """

    name: str
    blurred: Path
    sharp: Path | None
    labels: tuple[str, ...] = ()
    white: float | None = None


class Reading(NamedTuple):
    """What one reader got: images, one line per problem with its remedy, and folders it knows but leaves."""

    images: tuple[EvaluationImage, ...]
    problems: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoundData:
    """The images of one split of a set that are in ``folder``.

    ``problems`` are one line each, with files and remedy: a wrong count, files without a partner, files that
    cannot be paired (they are not among the images) or have an unexpected name. ``ignored`` names folders of
    the set that are not scored.
    """

    dataset: str
    title: str
    folder: Path
    split: str
    images: tuple[EvaluationImage, ...]
    problems: tuple[str, ...]
    ignored: tuple[str, ...] = ()


def naming(paths: Sequence[Path]) -> str:
    """The first few files with their folders, and how many more there are."""
    shown = ", ".join(f"{path.parent.name}/{path.name}" for path in paths[:SHOWN])
    return f"{shown} and {len(paths) - SHOWN} more" if len(paths) > SHOWN else shown
