"""Runs an evaluation: methods on a dataset, image by image; memory does not grow with the dataset."""

import platform
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import version
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from defocusctl import __version__
from defocusctl.data.found import EvaluationImage, FoundData
from defocusctl.data.pairs import PixelCache, Pixels, as_float
from defocusctl.errors import DataError, DefocusctlError, OutputError
from defocusctl.evaluation.files import CSV, SUMMARY, Journal
from defocusctl.evaluation.methods import Candidate
from defocusctl.evaluation.metrics import Lpips
from defocusctl.evaluation.protocols import Protocol, Scores
from defocusctl.evaluation.results import RADIUS_EDGES, Evaluation, Method, Row, compare
from defocusctl.evaluation.table import published_rows
from defocusctl.maps.reduction import rgb8
from defocusctl.system.atomic import atomic_write, make_folder

REPORT, IMAGES = "report.html", "images"
PACKAGES = ("torch", "numpy", "scikit-image", "opencv-python-headless")
RESTORING = ("tile", "overlap", "backend")
"""Settings of networks that can change their figures and that ``Method`` does not have."""
NO_SCORES = Scores(nan, nan, nan, nan)

OnRows = Callable[[int, Sequence[Row]], None]
"""Called with the number of images done and the rows of the last one, none if it could not be scored."""


@dataclass(frozen=True)
class Run:
    """What to score: images of a dataset, restored by each candidate, under each protocol.

    With one protocol, networks get the input that its own loader prepares; with several, all score the same
    outputs, restored from the unmodified file. Without ``lpips`` that metric is left out.
    """

    found: FoundData
    images: Sequence[EvaluationImage]
    candidates: Sequence[Candidate]
    protocols: Sequence[Protocol]
    lpips: Lpips | None

    @property
    def methods(self) -> tuple[Method, ...]:
        return tuple(candidate.info for candidate in self.candidates)

    @property
    def protocol_names(self) -> tuple[str, ...]:
        return tuple(protocol.name for protocol in self.protocols)

    def restored(self, candidate: Candidate, pixels: Pixels) -> NDArray[np.float32]:
        """A method's output for the pixels of a file: (H, W, 3) float32, white at 1, not clipped."""
        return candidate.restore(as_float(self._network_input(pixels)))

    def rows(self, image: EvaluationImage, images_folder: Path | None) -> Iterator[Row]:
        """Restore and score one image; save the outputs in ``images_folder``, if there is one.

        Raises:
            InputError: if a file cannot be read.
            DataError: if the pair differs in size or is too small.
            OutputError: if an output cannot be written.
        """
        dataset = self.found.dataset
        blurred, sharp = read_pair(image)
        pixels = self._network_input(blurred)
        references = None if sharp is None else [as_float(p.prepare(sharp, dataset)) for p in self.protocols]
        ranges = None if references is None else self._radius_ranges(as_float(pixels))
        for candidate in self.candidates:
            started = time.perf_counter()
            restored = candidate.restore(as_float(pixels))
            seconds = time.perf_counter() - started
            label = candidate.info.label
            if images_folder is not None:
                _write_png(images_folder / label.replace("/", "-") / f"{image.name}.png", rgb8(restored, 1.0))
            for index, protocol in enumerate(self.protocols):
                scores = NO_SCORES
                errors: tuple[tuple[int, float], ...] = ()
                if references is not None:
                    scores = protocol.score(restored, references[index], dataset, self.lpips)
                    errors = _errors_by_range(restored, references[index], ranges)
                megapixels = pixels.shape[0] * pixels.shape[1] / 1e6
                yield Row(
                    image.name, label, protocol.name, *scores, seconds, megapixels, image.labels, errors
                )

    def _radius_ranges(self, pixels: NDArray[np.float32]) -> NDArray[np.int64] | None:
        """The range of the blur radius at each pixel, (H, W); None without a network to estimate it."""
        for candidate in self.candidates:
            if candidate.blur_radius is not None:
                return np.digitize(candidate.blur_radius(pixels), RADIUS_EDGES[1:-1])
        return None

    def _network_input(self, pixels: Pixels) -> Pixels:
        return self.protocols[0].prepare(pixels, self.found.dataset) if len(self.protocols) == 1 else pixels


def _errors_by_range(
    restored: NDArray[np.float32], reference: NDArray[np.float32], ranges: NDArray[np.int64] | None
) -> tuple[tuple[int, float], ...]:
    """Number of pixels and summed squared error in each range; empty if the shapes differ."""
    if ranges is None or restored.shape != reference.shape:
        return ()
    errors = np.square(restored.clip(0, 1) - reference).mean(axis=2, dtype=np.float64)
    count = len(RADIUS_EDGES) - 1
    pixels = np.bincount(ranges.ravel(), minlength=count)
    sums = np.bincount(ranges.ravel(), weights=errors.ravel(), minlength=count)
    return tuple(zip(pixels.tolist(), sums.tolist(), strict=True))


def select_images(
    found: FoundData, limit: int | None, sample: int | None, seed: int, white: float | None = None
) -> Sequence[EvaluationImage]:
    """The first ``limit`` images, or ``sample`` random ones determined by the seed, in the set's order.

    ``white`` is the value of white in floating-point files, by default 1.

    Raises:
        DataError: if no image of the set can be scored.
    """
    images = found.images
    if not images:
        raise DataError(f"no image of {found.title} can be scored", "; ".join(found.problems))
    if sample is not None and sample < len(images):
        picked = sorted(random.Random(seed).sample(range(len(images)), sample))
        images = tuple(images[index] for index in picked)
    return [image._replace(white=white) for image in images[:limit]]


def evaluate(run: Run, *, out: Path | None, resume: bool, save_images: bool, on_rows: OnRows) -> Evaluation:
    """Score all images and compare the methods; progress is kept in ``out``.

    Images in its journal are not scored again. One that cannot be read, or whose pair differs in size, is
    reported, and the run continues.

    Raises:
        DataError: if ``out`` holds another run.
        OutputError: if something cannot be written there, or would replace a foreign file.
    """
    results = (CSV, SUMMARY, REPORT, *((IMAGES,) if save_images else ()))
    images_folder = out / IMAGES if out is not None and save_images else None
    rows: list[Row] = []
    problems = list(run.found.problems)
    with closing(Journal(out, _settings(run, save_images), results, resume=resume)) as journal:
        for done, image in enumerate(run.images, start=1):
            scored = journal.done.get(image.name)
            if scored is None:
                try:
                    scored = list(run.rows(image, images_folder))
                    journal.write(scored)
                except OutputError:
                    raise
                except DefocusctlError as error:
                    problems.append(f"{image.name}: {error}")
                    scored = []
            rows += scored
            on_rows(done, scored)
    trained_on = frozenset(method.trained_on for method in run.methods if method.trained_on)
    models = frozenset(method.model for method in run.methods if method.model)
    return Evaluation(
        dataset=run.found.dataset,
        title=run.found.title,
        images=tuple(image.name for image in run.images),
        methods=run.methods,
        protocols=run.protocol_names,
        rows=tuple(rows),
        comparisons=tuple(compare(rows, run.methods, run.protocol_names)),
        published=published_rows(run.found.dataset, trained_on, models),
        problems=tuple(problems),
        lpips_variant=None if run.lpips is None else run.lpips.variant,
        versions=(
            ("defocusctl", __version__),
            ("python", platform.python_version()),
            *((name, version(name)) for name in PACKAGES),
        ),
    )


def read_pair(image: EvaluationImage) -> tuple[Pixels, Pixels | None]:
    """The blurred photo and its reference, (H, W, 3) each.

    Raises:
        InputError: if one cannot be read.
        DataError: if they differ in size, or the white of floating-point pixels is unclear.
    """
    cache = PixelCache(0, image.white)
    if image.sharp is None:
        return cache.rgb(image.blurred), None
    return cache.both(image.blurred, image.sharp)


def _settings(run: Run, save_images: bool) -> Mapping[str, Any]:
    """The settings that a resumed run must share with the interrupted one."""
    return {
        "dataset": run.found.dataset,
        "folder": str(run.found.folder.resolve()),
        "split": run.found.split,
        "methods": [asdict(method) for method in run.methods],
        **{key: [getattr(each.settings, key, None) for each in run.candidates] for key in RESTORING},
        "protocols": run.protocol_names,
        "lpips": None if run.lpips is None else run.lpips.variant,
        "images": save_images,
        "white": run.images[0].white,
        "version": __version__,
    }


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    make_folder(path.parent)
    with atomic_write(path, force=True) as file:
        Image.fromarray(pixels).save(file, format="PNG")
