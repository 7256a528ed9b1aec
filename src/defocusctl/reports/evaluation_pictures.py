"""The pictures of a report: before, after, reference and error maps, as data URIs."""

import base64
import io
from dataclasses import dataclass
from math import nan
from typing import Self

import numpy as np
from matplotlib import colormaps
from PIL import Image

from defocusctl.data.pairs import as_float
from defocusctl.evaluation.results import Evaluation
from defocusctl.evaluation.run import Run, read_pair
from defocusctl.evaluation.table import number
from defocusctl.maps.reduction import FloatArray, Rgb, area_mean, reduction_factor, rgb8
from defocusctl.maps.sheet import ColourScale
from defocusctl.photo.geometry import Size

LONGEST = 1600  # pixels of a picture's longer side on the page
LEAST_MAP = 800  # error maps are not reduced below this
JPEG_QUALITY = 92
COLOURS = "magma"


@dataclass(frozen=True)
class Errors:
    """Both error maps on one scale, from zero to ``ticks[-1]`` grey levels of 255.

    Each of their pixels is the mean of ``block`` x ``block`` pixels of the image.
    """

    before: str
    after: str
    bar: str
    ticks: tuple[str, ...]
    block: int


@dataclass(frozen=True)
class ReportPicture:
    """One image before and after a method; pictures are data URIs, sizes (width, height) in pixels.

    ``rank`` is best, median, worst or, without a reference, example; ``gain`` is PSNR over
    the input in dB, ``original`` the size of the image, ``size`` that of its pictures on the page.
    """

    image: str
    method: str
    rank: str
    gain: float
    before: str
    after: str
    reference: str | None
    errors: Errors | None
    original: tuple[int, int]
    size: tuple[int, int]

    @classmethod
    def of(
        cls,
        image: str,
        method: str,
        rank: str,
        gain: float,
        *,
        before: Rgb,
        after: Rgb,
        reference: Rgb | None,
    ) -> Self:
        """From (H, W, 3) pixels: pictures, scaled down if needed, and error maps at full size."""
        scaled = _scaled(before)
        height, width = before.shape[:2]
        return cls(
            image,
            method,
            rank,
            gain,
            _photo_uri(scaled),
            _photo_uri(_scaled(after)),
            None if reference is None else _photo_uri(_scaled(reference)),
            None if reference is None else _errors(before, after, reference),
            (width, height),
            scaled.size,
        )


def report_pictures(evaluation: Evaluation, run: Run) -> list[ReportPicture]:
    """The best, median and worst image of every network, restored once more, under the first protocol.

    If no network was scored, those of the classical methods.
    """
    dataset, protocol = evaluation.dataset, run.protocols[0]
    of_name = {image.name: image for image in run.images}
    kinds = {candidate.info.kind for candidate in run.candidates}
    kind = "model" if "model" in kinds else "baseline"
    pictures = []
    for candidate in run.candidates:
        if candidate.info.kind != kind:
            continue
        label = candidate.info.label
        gains = evaluation.psnr_gains(label, protocol.name)
        for rank, name in choose_pictures(evaluation, label, protocol.name):
            blurred, sharp = read_pair(of_name[name])
            restored = run.restored(candidate, blurred)
            before = rgb8(as_float(protocol.prepare(blurred, dataset)), 1.0)
            after = rgb8(protocol.fit(restored, dataset), 1.0)
            reference = None if sharp is None else rgb8(as_float(protocol.prepare(sharp, dataset)), 1.0)
            gain = gains.get(name, nan)
            pictures.append(
                ReportPicture.of(name, label, rank, gain, before=before, after=after, reference=reference)
            )
    return pictures


def choose_pictures(evaluation: Evaluation, method: str, protocol: str) -> list[tuple[str, str]]:
    """Up to three (rank, image): best, median and worst by PSNR gain over the input, no image twice.

    For an even number the lower of the middle two is the median; ties are in image order. Without a reference
    to rank by, the method's first, middle and last images have the rank ``example``.
    """
    gains = evaluation.psnr_gains(method, protocol)
    if gains:
        ranked = sorted(gains, key=gains.__getitem__, reverse=True)
        names = ("best", "median", "worst")
    else:
        ranked = [row.image for row in evaluation.of(method, protocol)]
        names = ("example",) * 3
    chosen: dict[str, str] = {}
    if ranked:
        places = (0, -1, len(ranked) // 2)  # the ends come first: of two images there is no median
        for name, place in zip((names[0], names[2], names[1]), places, strict=True):
            chosen.setdefault(ranked[place], name)
    return [(chosen[image], image) for image in ranked if image in chosen]


def _errors(before: Rgb, after: Rgb, reference: Rgb) -> Errors:
    block = reduction_factor(Size(*reference.shape[:2]), LEAST_MAP)
    maps = [area_mean(_error_map(image, reference), block) for image in (before, after)]
    scale = ColourScale.sequential(maps, COLOURS)
    shares = [np.clip(values / scale.high, 0, 1) for values in maps]
    ticks = [number(share * scale.high, 0 if scale.high >= 20 else 1) for share in (0.0, 0.5, 1.0)]
    if scale.extend in ("max", "both"):
        ticks[-1] = f"≥ {ticks[-1]}"
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None]
    before_map, after_map, bar = (_map_uri(values) for values in (*shares, ramp))
    return Errors(before_map, after_map, bar, tuple(ticks), block)


def _error_map(image: Rgb, reference: Rgb) -> FloatArray:
    """Mean absolute difference of the colours in grey levels, (H, W)."""
    error: FloatArray = np.abs(image.astype(np.float32) - reference.astype(np.float32)).mean(axis=2)
    return error


def _scaled(pixels: Rgb) -> Image.Image:
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return image


def _photo_uri(image: Image.Image) -> str:
    return _data_uri(image, "jpeg", quality=JPEG_QUALITY, subsampling=0)


def _map_uri(shares: FloatArray) -> str:
    """Values in [0, 1] as a PNG whose palette is the colour map."""
    image = Image.fromarray(np.rint(shares * 255).astype(np.uint8))
    palette = colormaps[COLOURS](np.arange(256), bytes=True)[:, :3]
    image.putpalette(palette.tobytes())
    return _data_uri(image, "png")


def _data_uri(image: Image.Image, kind: str, **options: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
