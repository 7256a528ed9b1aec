"""The node ``Deblur (defocus)``.

ComfyUI's images are (B, H, W, C) floats in [0, 1], its masks (B, H, W) with 1 where something was painted.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from defocusctl import Deblurrer, InputError

try:
    import comfy.model_management
    import comfy.utils
except ImportError:  # outside ComfyUI: no progress bar, and nothing to interrupt
    comfy = None

RADIUS_OF_WHITE = 16.0
"""Pixels: the blur radius that is 1.0 in the map; larger ones are above 1."""
NO_LIMIT = 1e6
STEPS = 1000


class DefocusDeblur:
    """Removes out-of-focus blur from images."""

    CATEGORY = "image/restoration"
    DESCRIPTION = "Removes out-of-focus blur with INIKNet or NRKNet. Runs locally."
    FUNCTION = "deblur"
    RETURN_TYPES = ("IMAGE", "IMAGE")
    RETURN_NAMES = ("image", "blur map")
    OUTPUT_TOOLTIPS = (
        "The deblurred image.",
        f"The estimated radius of the blur in pixels, divided by {RADIUS_OF_WHITE:g}.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, tuple[Any, ...]]]:  # noqa: N802 - ComfyUI's name
        """What the node takes, as ComfyUI's widgets."""
        weights = (
            "A name from 'defocusctl weights list', a file, or hf://owner/name; empty: the first there is."
        )
        return {
            "required": {
                "image": ("IMAGE",),
                "model": (["iniknet", "nrknet"], {"default": "iniknet"}),
                "weights": ("STRING", {"default": "bundled", "tooltip": weights}),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05}),
                "scale": (
                    ["auto", "1", "1/2", "1/4", "1/8"],
                    {"default": "auto", "tooltip": "The size at which the network sees the image."},
                ),
                "max_blur": (
                    "FLOAT",
                    {
                        "default": 0.0,
                        "min": 0.0,
                        "max": 100.0,
                        "step": 0.5,
                        "tooltip": "Leave alone what is blurred by a larger radius in pixels; 0: no limit.",
                    },
                ),
            },
            "optional": {"mask": ("MASK", {"tooltip": "Deblur only what is painted."})},
        }

    def deblur(
        self,
        image: Tensor,
        model: str,
        weights: str,
        strength: float,
        scale: str,
        max_blur: float,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Deblur a batch (B, H, W, 3); ``mask`` is (1 or B, h, w) or (h, w), of the images' shape.

        Returns the images, and their blur maps as (B, H, W, 3).

        Raises:
            DefocusctlError: if the weights are not there, the mask is all black or has another shape, or the
                number of masks is neither 1 nor that of the images.
        """
        if mask is not None and not mask.any():
            raise InputError(
                "the mask is all black, so nothing would be deblurred",
                "paint what is to be deblurred, or disconnect the mask",
            )
        deblurrer = _deblurrer(model, weights.strip(), strength, scale, max_blur)
        images, maps = [], []
        for single, painted, on_tile in zip(
            image, _masks(mask, len(image)), _reporters(len(image)), strict=True
        ):
            result = deblurrer.deblur(single.movedim(-1, 0), mask=painted, white=1.0, on_tile=on_tile)
            images.append(result.image.movedim(0, -1))
            radius = torch.from_numpy(result.blur_radius) / RADIUS_OF_WHITE
            maps.append(radius[..., None].expand(-1, -1, 3))
        return torch.stack(images), torch.stack(maps)


@lru_cache(maxsize=1)
def _deblurrer(model: str, weights: str, strength: float, scale: str, max_blur: float) -> Deblurrer:
    """The network with these settings; the last one stays loaded."""
    return Deblurrer.from_pretrained(
        model,
        weights or None,
        strength=strength,
        scale=scale,
        max_blur=max_blur or NO_LIMIT,  # with a limit, the radius is estimated at any scale
    )


def _masks(mask: Tensor | None, count: int) -> Iterator[Any]:
    """A mask of 0 to 255, or None, for each of ``count`` images."""
    if mask is None:
        yield from [None] * count
    else:
        masks = (mask.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        masks = masks.reshape(-1, *masks.shape[-2:])  # some nodes give a single mask as (h, w)
        if len(masks) not in (1, count):
            raise InputError(
                f"there are {len(masks)} masks for {count} images", "give one for all images, or one for each"
            )
        yield from masks if len(masks) == count else [masks[0]] * count


def _reporters(count: int) -> Iterator[Callable[[int, int], None]]:
    """For each of ``count`` images, what reports its tiles to ComfyUI and stops when the user does."""
    bar = comfy.utils.ProgressBar(STEPS * count) if comfy else None
    for done in range(count):

        def report(tiles: int, total: int, done: int = done) -> None:
            if comfy:
                comfy.model_management.throw_exception_if_processing_interrupted()
                bar.update_absolute(round(STEPS * (done + tiles / max(total, 1))))

        yield report


NODE_CLASS_MAPPINGS: Mapping[str, type] = {"DefocusDeblur": DefocusDeblur}
NODE_DISPLAY_NAME_MAPPINGS: Mapping[str, str] = {"DefocusDeblur": "Deblur (defocus)"}
