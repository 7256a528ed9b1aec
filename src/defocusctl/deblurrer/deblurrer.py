"""``Deblurrer``: finds weights and loads the network once, then deblurs any number of images."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self, TypedDict, Unpack, overload

import torch
from torch import Tensor

from defocusctl.deblurrer.images import (
    Array,
    Batch,
    File,
    FileT,
    ImageT,
    LoadedImage,
    load_image,
    numbered_errors,
)
from defocusctl.deblurrer.result import DeblurResult
from defocusctl.errors import UsageError
from defocusctl.export.run import cached_graph
from defocusctl.models.blur_radius import BlurRadius
from defocusctl.models.plugins import check_model
from defocusctl.models.prediction import Network
from defocusctl.photo import DEFAULT_MAX_MEGAPIXELS, Mask, mask_of, read_mask
from defocusctl.photo.geometry import Box, parse_region
from defocusctl.restoring.backends import check_backend
from defocusctl.restoring.change import Change
from defocusctl.restoring.parts import check_pixels
from defocusctl.restoring.pyramid import Progress
from defocusctl.restoring.restored import adjusted
from defocusctl.restoring.restorer import Restorer
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.system.devices import memory_errors
from defocusctl.weights.checkpoint import load_checkpoint, load_model
from defocusctl.weights.hub import OnProgress
from defocusctl.weights.resolve import ResolvedWeights, resolve_weights


class DeblurOptions(TypedDict, total=False):
    """The options of ``Deblurrer.deblur``, for its four signatures."""

    region: Box | str | None
    mask: Mask | str | os.PathLike[str] | None
    coefficients: bool
    keep_change: bool
    max_megapixels: float
    white: float | None
    on_tile: Progress | None


@dataclass(frozen=True, eq=False, repr=False)
class Deblurrer:
    """A network with its weights, ready on its device.

    It may be called from several threads; ``restorer.concurrency`` of them (1 by default) restore at the same
    time. ``trained_on`` names the training data of the weights, ``variant`` the paper's ablation that they
    are of, empty for the network as published.
    """

    network: Network
    restorer: Restorer
    weights: ResolvedWeights
    trained_on: str
    variant: str = ""

    @classmethod
    def from_pretrained(
        cls,
        model: str = "iniknet",
        weights: str | os.PathLike[str] | None = None,
        *,
        backend: str = "torch",
        device: str | torch.device = "auto",
        precision: str = "auto",
        tile: int | None = None,
        overlap: int | None = None,
        scale: str = "auto",
        max_blur: float | None = None,
        strength: float = 1.0,
        offline: bool = False,
        on_download: OnProgress | None = None,
    ) -> Self:
        """Find and verify the weights, build the network and move it to its device.

        ``weights`` is as for ``--weights``: a name from ``weights list``, a file, ``hf://...``, or None for
        the first available ones; ``deblurrer.weights`` says which are used. ``backend`` is ``torch``,
        ``onnxruntime`` or ``openvino`` (docs/export.md). ``device`` and ``precision`` are as on the command
        line. ``tile`` and ``overlap`` are in pixels, or None to choose them; a tile of 0 is the whole image.
        ``scale`` is ``auto``, ``1``, ``1/2``, ``1/4`` or ``1/8``; what is blurred by a larger radius than
        ``max_blur`` pixels is left alone (docs/levels.md). ``strength`` is the fraction of the change to
        apply, 0 to 1. ``offline`` forbids downloads;
        ``on_download`` is called with the bytes downloaded and the total.

        Raises:
            ModelError: if the network is unknown or its package is broken.
            WeightsError: if the weights are unavailable or belong to another model.
            DeviceError: if the device, precision or backend is not available.
            OutputError: if the graph for a backend cannot be exported.
            UsageError: if a number is out of range.
        """
        settings = RestoreSettings(
            tile=tile,
            overlap=overlap,
            device=str(device),
            precision=precision,
            scale=str(scale),  # 1 is as good as "1"
            max_blur=max_blur,
            strength=strength,
            backend=backend,
        )
        spec = None if weights is None else os.fspath(weights)
        return cls.load(model, spec, settings, offline=offline, on_download=on_download)

    @classmethod
    def load(
        cls,
        model: str,
        weights: str | None,
        settings: RestoreSettings,
        *,
        offline: bool,
        on_download: OnProgress | None = None,
    ) -> Self:
        """Like ``from_pretrained``, with ``RestoreSettings``."""
        check_backend(settings.backend, settings.device, settings.precision)
        resolved = resolve_weights(check_model(model), weights, offline=offline, on_progress=on_download)
        return cls.from_resolved(resolved, settings)

    @classmethod
    def from_resolved(cls, resolved: ResolvedWeights, settings: RestoreSettings) -> Self:
        """Like ``load``, for weights already on this machine."""
        checkpoint = load_checkpoint(resolved.path, model_name=resolved.model)
        metadata = checkpoint.metadata
        graph = None if settings.backend == "torch" else cached_graph(checkpoint, resolved)
        estimator = load_model(resolve_weights(BlurRadius.name, "bundled", offline=True).path, BlurRadius)
        restorer = Restorer(
            checkpoint.model, settings, graph, blur_radius=estimator, level_shares=metadata.level_shares
        )
        return cls(checkpoint.model, restorer, resolved, metadata.trained_on, metadata.variant)

    @overload
    def deblur(self, image: File, **options: Unpack[DeblurOptions]) -> DeblurResult[Array]: ...
    @overload
    def deblur(self, image: ImageT, **options: Unpack[DeblurOptions]) -> DeblurResult[ImageT]: ...
    @overload
    def deblur(self, image: Batch[FileT], **options: Unpack[DeblurOptions]) -> list[DeblurResult[Array]]: ...
    @overload
    def deblur(
        self, image: Batch[ImageT], **options: Unpack[DeblurOptions]
    ) -> list[DeblurResult[ImageT]]: ...
    def deblur(
        self,
        image: Any,
        *,
        region: Box | str | None = None,
        mask: Mask | str | os.PathLike[str] | None = None,
        coefficients: bool = False,
        keep_change: bool = False,
        max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
        white: float | None = None,
        on_tile: Progress | None = None,
    ) -> Any:
        """Deblur an image, or a list or tuple of images, which returns a list of results.

        On a GPU, consecutive images of the same size are restored in batches.

        - A path, or the ``bytes`` of a file: a photo of any format that the command line reads.
        - A NumPy array: (H, W) grey, (H, W, C) with C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha;
          uint8, uint16, or floats.
        - A Pillow image of mode 1, L, LA, La, P, PA, RGB, RGBA, RGBa, I;16 or F, rotated according to its
          EXIF orientation.
        - A tensor (C, H, W) with C = 1, 3 or 4, or (B, C, H, W), on any device; dtypes as for arrays.

        Colours are RGB; alpha is left unchanged. ``region`` ("WxH+X+Y" or a Box) deblurs only that part.
        ``mask``, a file or (H, W) uint8 or bool, at any size of the images' shape, deblurs only its white
        part.
        ``coefficients`` keeps the network's coefficients at full size: 36 bytes per pixel for INIKNet, 57.75
        for NRKNet. ``keep_change`` keeps the change on the disk for ``apply_change``, up to 16 bytes per
        pixel. Files above ``max_megapixels`` are refused. ``white`` is the value of white in
        floating-point images and their results, 1 by default. ``on_tile`` is called with the tiles of an
        image done and in total.

        Raises:
            InputError: if an image or the mask cannot be read or is of another kind or shape; of several, it
                says which.
            UsageError: if the region lies outside the image, or ``white`` or ``max_megapixels`` is not above
                0.
            DeviceError: if the image or even the smallest tile does not fit into memory.
            OutputError: if there is no room on the disk for the change.
        """
        box = parse_region(region) if isinstance(region, str) else region
        is_batch = isinstance(image, Tensor) and image.ndim == 4 and len(image) > 0
        if box is not None and not isinstance(box, Box):
            raise UsageError(f"{region!r} is not a region", "give a Box, or text such as '800x600+100+50'")
        if isinstance(mask, str | os.PathLike):
            mask = read_mask(Path(mask), max_megapixels)
        elif mask is not None:
            mask = mask_of(mask)
        images = list(image) if is_batch or isinstance(image, list | tuple) else [image]
        results: list[DeblurResult[Any]] = []
        for group in self._groups(images, max_megapixels, white):
            done = len(results)
            with numbered_errors(done + 1, done + len(group), len(images)), memory_errors(_name(group[0])):
                restored = self.restorer.restore(
                    [loaded.photo for loaded in group],
                    region=box,
                    mask=mask,
                    keep_coefficients=coefficients,
                    keep_change=keep_change,
                    on_progress=on_tile,
                )
            for loaded, part in zip(group, restored, strict=True):
                make_image = partial(loaded.convert_back, part.after)
                results.append(DeblurResult((part,), self.weights, make_image, loaded.source))
        if is_batch:
            parts = tuple(result.parts[0] for result in results)
            return DeblurResult(
                parts, self.weights, lambda: torch.stack([result.image for result in results]), is_batch=True
            )
        return results if isinstance(image, list | tuple) else results[0]

    def apply_change(
        self,
        change: Change,
        image: Any,
        *,
        strength: float = 1.0,
        max_blur: float | None = None,
        max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
        white: float | None = None,
    ) -> DeblurResult[Any]:
        """What ``deblur`` gives for an image with this ``strength`` and ``max_blur``, without the network.

        ``change`` is that of the result of ``deblur(image, keep_change=True)`` by this deblurrer. With a
        ``max_blur``, ``deblur`` computes less of the image: pixels may then differ by 1 of 255.

        Raises:
            InputError: if the image cannot be read, or has pixels that are not finite.
            UsageError: if a setting is out of range, the image has another size or other colours, or the
                change was limited to a smaller blur.
            DeviceError: if the image does not fit into memory.
        """
        with memory_errors(_name(image)):
            loaded = load_image(image, max_megapixels, white)
            part = adjusted(loaded.photo, change, strength=strength, max_blur=max_blur)
        return DeblurResult((part,), self.weights, partial(loaded.convert_back, part.after), loaded.source)

    def _groups(
        self, images: Sequence[Any], max_megapixels: float, white: float | None
    ) -> Iterator[list[LoadedImage[Any]]]:
        """The images as photos, in batches of consecutive ones of the same size that suit the device."""
        group: list[LoadedImage[Any]] = []
        for number, image in enumerate(images, start=1):
            with numbered_errors(number, number, len(images)), memory_errors(_name(image)):
                loaded = load_image(image, max_megapixels, white)
                check_pixels(loaded.photo.pixels)
            if group and loaded.photo.size != group[0].photo.size:
                yield group
                group = []
            group.append(loaded)
            if len(group) >= self.restorer.planner.room_for(loaded.photo.size):
                yield group
                group = []
        if group:
            yield group

    def __repr__(self) -> str:
        return (
            f"<Deblurrer {self.weights.model}/{self.weights.name} on {self.restorer.device} "
            f"({self.restorer.precision})>"
        )


def _name(image: Any) -> str:
    source = image.source if isinstance(image, LoadedImage) else image
    return f"'{source}'" if isinstance(source, str | os.PathLike) else "the image"
