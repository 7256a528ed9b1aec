"""Scoring methods on a data set, image by image; memory does not grow with the data set."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from defocusctl.data.datasets import EvaluationImage, FoundData
from defocusctl.data.pixels import PixelCache, Pixels, as_float
from defocusctl.errors import DataError, DefocusctlError, OutputError
from defocusctl.evaluation.journal import Journal
from defocusctl.evaluation.methods import Candidate
from defocusctl.evaluation.metrics import Lpips, Protocol, Scores
from defocusctl.evaluation.results import Row

NO_SCORES = Scores(nan, nan, nan, nan)

OnRows = Callable[[int, Sequence[Row]], None]
"""Told how many images are done, and the rows of the last, none if it cannot be scored."""

OnOutput = Callable[[EvaluationImage, Candidate, NDArray[np.float32]], None]


@dataclass(frozen=True)
class Scored:
    """All rows of a run, in the order of the images, and one line for every image that has none."""

    rows: tuple[Row, ...]
    problems: tuple[str, ...]


def chosen(
    found: FoundData, limit: int | None, sample: int | None, seed: int, white: float | None = None
) -> Sequence[EvaluationImage]:
    """The first ``limit`` images, or ``sample`` random ones that the seed names, in the set's order.

    ``white`` is the value of white in floating-point files, by default 1.

    Raises:
        DataError: if the set has no image that can be scored.
    """
    images = found.images
    if not images:
        raise DataError(f"no image of {found.title} can be scored", "; ".join(found.problems))
    if sample is not None and sample < len(images):
        picked = sorted(random.Random(seed).sample(range(len(images)), sample))
        images = tuple(images[index] for index in picked)
    return [image._replace(white=white) for image in images[:limit]]


def score_images(
    dataset: str,
    images: Sequence[EvaluationImage],
    candidates: Sequence[Candidate],
    protocols: Sequence[Protocol],
    *,
    lpips: Lpips | None,
    journal: Journal,
    on_rows: OnRows,
    on_output: OnOutput | None = None,
) -> Scored:
    """Restore every image with every method and score it under every protocol.

    With one protocol the network is given what that protocol's own loader gives it; with several, all score
    the same outputs, restored from the untouched file. What the journal already holds is not done again.
    An image that cannot be read or whose pair differs in size is reported, and the run goes on.

    Raises:
        OutputError: if ``on_output`` or the journal cannot write.
    """
    rows: list[Row] = []
    problems: list[str] = []
    for done, image in enumerate(images, start=1):
        scored = journal.rows_of(image.name)
        if scored is None:
            try:
                scored = list(_score(dataset, image, candidates, protocols, lpips, on_output))
            except OutputError:
                raise
            except DefocusctlError as error:
                problems.append(f"{image.name}: {error}")
                on_rows(done, [])
                continue
            journal.write(scored)
        rows += scored
        on_rows(done, scored)
    return Scored(tuple(rows), tuple(problems))


def restored(candidate: Candidate, pixels: Pixels) -> NDArray[np.float32]:
    """The method's answer to integer pixels: (H, W, 3) float32, white at 1, not clipped."""
    return candidate.restore(as_float(pixels))


def _score(
    dataset: str,
    image: EvaluationImage,
    candidates: Sequence[Candidate],
    protocols: Sequence[Protocol],
    lpips: Lpips | None,
    on_output: OnOutput | None,
) -> Iterator[Row]:
    blurred, sharp = read_pair(image)
    given = given_to_methods(blurred, protocols, dataset)
    references = None if sharp is None else [as_float(p.prepare(sharp, dataset)) for p in protocols]
    for candidate in candidates:
        started = time.perf_counter()
        answer = restored(candidate, given)
        seconds = time.perf_counter() - started
        if on_output is not None:
            on_output(image, candidate, answer)
        for index, protocol in enumerate(protocols):
            scores = NO_SCORES
            if references is not None:
                scores = protocol.score(answer, references[index], dataset, lpips)
            megapixels = given.shape[0] * given.shape[1] / 1e6
            label = candidate.info.label
            yield Row(image.name, label, protocol.name, *scores, seconds, megapixels, image.labels)


def given_to_methods(pixels: Pixels, protocols: Sequence[Protocol], dataset: str) -> Pixels:
    """What is restored: what the only protocol's loader gives, or the untouched pixels for several."""
    return protocols[0].prepare(pixels, dataset) if len(protocols) == 1 else pixels


def read_pair(image: EvaluationImage) -> tuple[Pixels, Pixels | None]:
    """The blurred photo and its reference, (H, W, 3) each.

    Raises:
        InputError: if one cannot be read.
        DataError: if they differ in size, or the white of floating-point pixels is in doubt.
    """
    cache = PixelCache(0, image.white)
    blurred = cache.rgb(image.blurred)
    sharp = None if image.sharp is None else cache.rgb(image.sharp)
    if sharp is not None and sharp.shape != blurred.shape:
        sizes = " and ".join(f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in (blurred, sharp))
        raise DataError(
            f"the pair differs in size, {sizes}", f"crop '{image.blurred}' and '{image.sharp}' alike"
        )
    return blurred, sharp


def output_path(folder: Path, image: EvaluationImage, candidate: Candidate) -> Path:
    """Where a restored image of a run is kept."""
    return folder / candidate.info.label.replace("/", "-") / f"{image.name}.png"
