"""A whole evaluation: score, compare, and put what came out together."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from defocusctl import __version__
from defocusctl.data.datasets import EvaluationImage, FoundData
from defocusctl.evaluation.confidence import compare
from defocusctl.evaluation.journal import Journal
from defocusctl.evaluation.methods import Candidate
from defocusctl.evaluation.metrics import Lpips, Protocol
from defocusctl.evaluation.published import published_rows
from defocusctl.evaluation.results import Evaluation
from defocusctl.evaluation.run import OnRows, output_path, score_images
from defocusctl.evaluation.summary import CSV, SUMMARY
from defocusctl.system.atomic import atomic_write, write_error

REPORT, IMAGES = "report.html", "images"
PACKAGES = ("torch", "numpy", "scikit-image", "opencv-python-headless")


def evaluate(
    found: FoundData,
    images: Sequence[EvaluationImage],
    candidates: Sequence[Candidate],
    protocols: Sequence[Protocol],
    *,
    lpips: Lpips | None,
    out: Path | None,
    resume: bool,
    save_images: bool,
    on_rows: OnRows,
) -> Evaluation:
    """Score ``images`` of a data set with every candidate and protocol; progress is kept in ``out``.

    Raises:
        DataError: if ``out`` holds another run.
        OutputError: if something cannot be written there, or would replace a file of another origin.
    """
    methods = tuple(candidate.info for candidate in candidates)
    labels = tuple(protocol.name for protocol in protocols)
    run: Mapping[str, Any] = {
        "dataset": found.dataset,
        "folder": str(found.folder.resolve()),
        "split": found.split,
        "methods": [asdict(method) for method in methods],
        "protocols": labels,
        "lpips": None if lpips is None else lpips.variant,
        "images": save_images,
        "white": images[0].white,
        "version": __version__,
    }

    def save(image: EvaluationImage, candidate: Candidate, answer: NDArray[np.float32]) -> None:
        assert out is not None
        path = output_path(out / IMAGES, image, candidate)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(path.parent, error) from error
        _write_png(path, as_pixels(answer))

    results = (CSV, SUMMARY, REPORT, *((IMAGES,) if save_images else ()))
    with Journal(out, run, results, resume=resume) as journal:
        scored = score_images(
            found.dataset,
            images,
            candidates,
            protocols,
            lpips=lpips,
            journal=journal,
            on_rows=on_rows,
            on_output=save if save_images and out is not None else None,
        )
    trained_on = frozenset(method.trained_on for method in methods if method.trained_on)
    return Evaluation(
        dataset=found.dataset,
        title=found.title,
        images=tuple(image.name for image in images),
        methods=methods,
        protocols=labels,
        rows=scored.rows,
        comparisons=tuple(compare(scored.rows, methods, labels)),
        published=published_rows(found.dataset, trained_on),
        problems=(*found.problems, *scored.problems),
        lpips_variant=None if lpips is None else lpips.variant,
        versions=versions(),
    )


def as_pixels(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Float pixels in [0, 1], clipped and rounded to 8 bits."""
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def versions() -> tuple[tuple[str, str], ...]:
    """What computed the figures."""
    packages = tuple((name, version(name)) for name in PACKAGES)
    return (("defocusctl", __version__), ("python", platform.python_version()), *packages)


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    from PIL import Image

    with atomic_write(path, force=True) as file:
        Image.fromarray(pixels).save(file, format="PNG")
