"""The papers' tables, as data: what others report on a data set, never measured here."""

import tomllib
from importlib.resources import files

from defocusctl.evaluation.results import Method, PublishedRow


def published_rows(dataset: str, trained_on: frozenset[str]) -> tuple[PublishedRow, ...]:
    """The rows for a data set of models trained on any of ``trained_on``; all where none of these is."""
    text = files("defocusctl.evaluation").joinpath("published.toml").read_text(encoding="utf-8")
    tables = [table for table in tomllib.loads(text)["table"] if table["data"] == dataset]
    wanted = [table for table in tables if table["trained_on"] in trained_on] or tables
    return tuple(
        PublishedRow(
            method,
            table["trained_on"],
            table["source"],
            table["protocol"],
            psnr=psnr,
            ssim=ssim,
            lpips=lpips,
        )
        for table in wanted
        for method, psnr, ssim, lpips in table["rows"]
    )


def is_about(row: PublishedRow, method: Method) -> bool:
    """Whether a paper's line is about this method, whatever it was trained on."""
    name = "input" if method.kind == "input" else method.model or method.label
    return _letters(name) == _letters(row.method)


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
