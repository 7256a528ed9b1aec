"""The pictures of one photo in the gallery: a thumbnail, before and after, a detail of both, the blur radius.

They are in a folder named by the hashes of what they show, so that none is made twice. Its ``facts.json`` is
written last: if it exists, the pictures are complete.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from defocusctl.batch.manifest import Entry
from defocusctl.errors import DeviceError, InputError
from defocusctl.maps.compare import improved_details
from defocusctl.maps.maps import blur_radius_sheet
from defocusctl.maps.reduction import reduced_photo, strips
from defocusctl.photo import Photo, icc, read_content, read_photo
from defocusctl.photo.geometry import Box
from defocusctl.system.atomic import atomic_write, make_folder
from defocusctl.system.devices import memory_errors

FACTS = "facts.json"
VERSION = 1  # increase it when the pictures change, so that older ones are made again
THUMBNAIL, SCREEN, DETAIL = 400, 1280, 640  # pixels of the longer side; of the side of the detail
QUALITY = 82
RADIUS_PICTURE, RADIUS_ARRAYS = "_blur_radius.png", "_maps.npz"

DRAWING = Lock()  # held while Matplotlib draws, which it does in one thread at a time


@dataclass(frozen=True)
class Facts:
    """What the page needs to know about the pictures: widths and heights, None for missing ones.

    ``before`` says whether the original can be shown beside the result. ``detail`` is the top left corner of
    the detail in the photo, and its side. ``change`` is the mean absolute difference between before and after
    in grey levels of 255. ``notes`` say why pictures are missing.
    """

    size: tuple[int, int] | None = None
    before: bool = False
    detail: tuple[int, int, int] | None = None
    radius: tuple[int, int] | None = None
    change: float | None = None
    notes: tuple[str, ...] = ()


def key_of(entry: Entry) -> str:
    """The name of the folder, of two parts; the same for the same input and results."""
    parts = [VERSION, entry.sha256, list(entry.files.values())]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return f"{digest[:2]}/{digest[2:32]}"


def make_pictures(entry: Entry, out: Path, folder: Path) -> Facts:
    """Make the pictures of a finished photo in ``folder``, unless they exist.

    The facts say what cannot be shown because a file is missing or has changed since the batch.

    Raises:
        OutputError: if a picture cannot be written.
    """
    with suppress(OSError, ValueError, TypeError):
        return Facts(**json.loads((folder / FACTS).read_bytes()))
    facts = Facts()
    name, sha256 = next(iter(entry.files.items()))
    try:
        with memory_errors(f"the pictures of '{entry.input}'"):
            after = _photo(out / name, sha256, "the result", entry.settings)
            facts = Facts(size=_save(screen_picture(after, SCREEN), folder / "after.webp"))
            _save(screen_picture(after, THUMBNAIL), folder / "thumbnail.webp")
            before = _photo(Path(entry.source), entry.sha256, "the original", entry.settings)
            facts = replace(_compare(before, after, facts, folder), radius=_radius(entry, out, after, folder))
    except (InputError, DeviceError) as error:
        return replace(facts, notes=(str(error),))
    with atomic_write(folder / FACTS, force=True) as file:
        file.write(json.dumps(asdict(facts)).encode())
    return facts


def _photo(path: Path, sha256: str | None, what: str, settings: Mapping[str, Any]) -> Photo:
    """The photo with that hash; an InputError if it is missing or has changed."""
    content = read_content(path)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(f"{what} '{path}' has changed since the batch", "run the batch again")
    return read_photo(content, named=path, max_megapixels=float("inf"), white=settings.get("white"))


def _compare(before: Photo, after: Photo, facts: Facts, folder: Path) -> Facts:
    """Save the original and, if the photo is shown at reduced size, a detail of both."""
    _save(screen_picture(before, SCREEN), folder / "before.webp")
    detail = _detail(before, after)
    if detail is not None:
        for name, photo in (("before", before), ("after", after)):
            _save(screen_picture(part_of(photo, detail.slices), DETAIL), folder / f"detail-{name}.webp")
    return replace(
        facts,
        before=True,
        detail=None if detail is None else (detail.left, detail.top, detail.size.width),
        change=round(mean_change(before, after), 3),
    )


def _detail(before: Photo, after: Photo) -> Box | None:
    """The detail that gained most."""
    if max(before.size) <= SCREEN:
        return None
    side = min(DETAIL, min(before.size) // 2 * 2)
    pixels, factor = after.pixels, before.full_scale / after.full_scale
    if factor != 1:
        pixels = pixels.astype(np.float32) * np.float32(factor)
    boxes = improved_details(before.pixels, pixels, before.full_scale, side=side, count=1)
    return boxes[0] if boxes else None


def mean_change(before: Photo, after: Photo) -> float:
    """Mean absolute difference of the colours, in grey levels of 255."""
    total = 0.0
    for rows in strips(before.size):
        first, second = (
            photo.pixels[rows].astype(np.float32) * np.float32(255 / photo.full_scale)
            for photo in (before, after)
        )
        total += float(np.abs(second - first).mean(axis=2).sum(dtype=np.float64))
    return total / before.size.pixels


def _radius(entry: Entry, out: Path, after: Photo, folder: Path) -> tuple[int, int] | None:
    """Save the blur radius, from the batch's drawing or else its arrays, if there are any."""
    drawing, arrays = (
        next((out / place for place in entry.files if place.endswith(ending)), None)
        for ending in (RADIUS_PICTURE, RADIUS_ARRAYS)
    )
    try:
        if drawing is not None:
            picture = _opened(drawing)
        elif arrays is not None:
            picture = _drawn(arrays, after)
        else:
            return None
    except (OSError, KeyError, ValueError):  # missing or not ours: not shown
        return None
    picture.thumbnail((2 * SCREEN, 2 * SCREEN))
    return _save(picture, folder / "radius.webp")


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _drawn(arrays: Path, photo: Photo) -> Image.Image:
    with np.load(arrays) as saved, DRAWING, TemporaryDirectory() as scratch:
        sheet = blur_radius_sheet(photo, saved["blur_radius"], saved["level_shares"])
        sheet.save(Path(scratch) / "radius.png", force=True)
        return _opened(Path(scratch) / "radius.png")


def _save(picture: Image.Image, path: Path) -> tuple[int, int]:
    """Write a picture; return its width and height."""
    make_folder(path.parent)
    with atomic_write(path, force=True) as file:
        picture.save(file, "WEBP", quality=QUALITY, method=2)
    return picture.size


def part_of(photo: Photo, where: slice | tuple[slice, slice]) -> Photo:
    """The rows, or rows and columns, of a photo; its metadata are unchanged."""
    alpha = None if photo.alpha is None else photo.alpha[where]
    return replace(photo, pixels=photo.pixels[where], alpha=alpha)


def screen_picture(photo: Photo, longest: int) -> Image.Image:
    """The photo in sRGB, its longer side ``longest`` pixels at most; with its alpha if it has any.

    A photo without a usable profile is taken as sRGB, as everywhere.
    """
    image = Image.fromarray(np.ascontiguousarray(reduced_photo(photo.pixels, photo.full_scale, longest)))
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    image = _in_srgb(image, photo)
    if photo.alpha is not None:
        alpha = reduced_photo(photo.alpha[..., None], photo.full_scale, longest)[..., 0]
        image.putalpha(Image.fromarray(np.ascontiguousarray(alpha)).resize(image.size))
    return image


def _in_srgb(image: Image.Image, photo: Photo) -> Image.Image:
    profile, colours = photo.metadata.icc, photo.pixels.shape[2]
    if profile is None or not icc.fits(profile, colours):
        return image
    try:
        converted = ImageCms.profileToProfile(
            image.getchannel(0) if colours == 1 else image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError):
        return image
    return image if converted is None else converted
