"""The node for ComfyUI, called as ComfyUI does."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from defocusctl import Deblurrer, InputError
from tests.cli.command import small_weights, textured
from tests.integration.loading import FOLDER, loaded

NAME = str(FOLDER / "comfyui").replace(".", "_x_")
"""ComfyUI imports the folder under the name of its path."""


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    before = set(sys.modules)
    yield loaded("comfyui/__init__.py", NAME)
    for name in set(sys.modules) - before:
        if name.startswith(str(FOLDER)):
            del sys.modules[name]


def executed(module: ModuleType, **inputs: Any) -> tuple[torch.Tensor, ...]:
    """What the node returns for inputs, the others at their defaults, checked against what it declares."""
    node = module.NODE_CLASS_MAPPINGS["DefocusDeblur"]
    declared = node.INPUT_TYPES()
    values = {
        name: options[0]["default"]
        for name, (_, *options) in declared["required"].items()
        if options
    }  # fmt: skip
    values |= inputs
    assert (
        declared["required"].keys()
        <= values.keys()
        <= declared["required"].keys() | declared["optional"].keys()
    )
    for name, (kind, *_) in declared["required"].items():
        assert values[name] in kind if isinstance(kind, list) else True
    outputs: tuple[torch.Tensor, ...] = getattr(node(), node.FUNCTION)(**values)
    assert len(outputs) == len(node.RETURN_TYPES) == len(node.RETURN_NAMES) == 2
    for output in outputs:
        assert output.dtype == torch.float32
        assert output.shape == values["image"].shape
    return outputs


@pytest.fixture
def images() -> torch.Tensor:
    """Two images out of focus, (2, 80, 96, 3)."""
    blurred = cv2.GaussianBlur(textured(80, 96), (0, 0), 2)
    picture = torch.from_numpy(blurred.astype(np.float32) / 255)
    return torch.stack([picture, picture.flip(1)])


def expected(images: torch.Tensor, weights: Path, **settings: Any) -> torch.Tensor:
    deblurrer = Deblurrer.from_pretrained("iniknet", weights, **settings)
    return torch.stack([deblurrer.deblur(image.movedim(2, 0)).image.movedim(0, 2) for image in images])


def test_it_is_listed(nodes: ModuleType) -> None:
    assert nodes.NODE_CLASS_MAPPINGS.keys() == nodes.NODE_DISPLAY_NAME_MAPPINGS.keys()
    node = nodes.NODE_CLASS_MAPPINGS["DefocusDeblur"]
    assert node.RETURN_TYPES == ("IMAGE", "IMAGE")
    assert node.INPUT_TYPES()["optional"]["mask"][0] == "MASK"
    assert isinstance(node.CATEGORY, str)


def test_the_bundled_weights_are_the_default(nodes: ModuleType, images: torch.Tensor) -> None:
    restored, radius = executed(nodes, image=images[:1])
    assert torch.equal(restored, expected(images[:1], Path("bundled")))
    assert radius.min() >= 0 and torch.equal(radius[..., 0], radius[..., 2])


@pytest.mark.parametrize("scale", ["auto", "1", "1/2"])
def test_images_and_blur_maps_of_a_batch(
    nodes: ModuleType, home: Path, images: torch.Tensor, scale: str
) -> None:
    weights = small_weights(home, "iniknet")
    restored, radius = executed(nodes, image=images, weights=str(weights), scale=scale)
    assert torch.equal(restored, expected(images, weights, scale=scale))
    assert not torch.equal(restored, images)
    known = Deblurrer.from_pretrained("iniknet", weights).deblur(images[1].movedim(2, 0)).blur_radius
    assert torch.equal(radius[1, ..., 0], torch.from_numpy(known) / 16)


def test_settings_are_passed_on(nodes: ModuleType, home: Path, images: torch.Tensor) -> None:
    weights = small_weights(home, "iniknet")
    settings = {"scale": "1", "strength": 0.5, "max_blur": 1.5}
    restored, _ = executed(nodes, image=images, weights=f" {weights} ", **settings)
    assert torch.equal(restored, expected(images, weights, **settings))
    unchanged, _ = executed(nodes, image=images, weights=str(weights), strength=0.0)
    assert torch.equal(unchanged, images)


def test_only_what_is_painted(nodes: ModuleType, home: Path, images: torch.Tensor) -> None:
    settings = {"image": images, "weights": str(small_weights(home, "iniknet")), "scale": "1"}
    everything, _ = executed(nodes, **settings)
    mask = torch.zeros(2, 80, 96)
    mask[0, :, :48] = 1
    mask[1] = 1
    restored, _ = executed(nodes, **settings, mask=mask)
    assert torch.equal(restored[1], everything[1])
    assert torch.equal(restored[0, :, 60:], images[0, :, 60:])
    assert torch.equal(restored[0, :, :36], everything[0, :, :36])
    both, _ = executed(nodes, **settings, mask=mask[:1, ::2, ::2])  # one for all, at half the size
    assert torch.equal(both[1, :, 60:], images[1, :, 60:])
    single, _ = executed(nodes, **settings, mask=mask[0, ::2, ::2])  # without the axis of a batch
    assert torch.equal(single, both)


def test_a_mask_that_belongs_to_no_image_is_refused(nodes: ModuleType, images: torch.Tensor) -> None:
    with pytest.raises(InputError, match="3 masks for 2 images"):
        executed(nodes, image=images, mask=torch.ones(3, 80, 96))


def test_a_mask_in_which_nothing_is_painted_is_refused(nodes: ModuleType, images: torch.Tensor) -> None:
    """ComfyUI's LoadImage gives a mask of 64 x 64 zeros for a picture without alpha."""
    with pytest.raises(InputError, match="disconnect the mask"):
        executed(nodes, image=images, mask=torch.zeros(1, 64, 64))


class CancelledError(Exception):
    """What ComfyUI raises when the user cancels."""


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """The two functions of ComfyUI that the node calls; returns the reported progress.

    The user cancels once three quarters are done.
    """
    progress: list[tuple[float, float]] = []

    class ProgressBar:
        def __init__(self, total: int) -> None:
            self.total = total

        def update_absolute(self, value: int, total: int | None = None) -> None:
            progress.append((value, total or self.total))

    def throw() -> None:
        if progress and progress[-1][0] >= 0.75 * progress[-1][1]:
            raise CancelledError

    package, utils, management = (
        ModuleType(f"comfy{name}") for name in ("", ".utils", ".model_management")
    )  # fmt: skip
    package.utils, utils.ProgressBar = utils, ProgressBar  # type: ignore[attr-defined]
    package.model_management = management  # type: ignore[attr-defined]
    management.throw_exception_if_processing_interrupted = throw  # type: ignore[attr-defined]
    for module in (package, utils, management):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return progress


def test_progress_and_interruption(
    comfy: list[tuple[float, float]], nodes: ModuleType, home: Path, images: torch.Tensor
) -> None:
    weights = str(small_weights(home, "iniknet"))
    executed(nodes, image=images[:1, :32, :32], weights=weights, scale="1")
    assert comfy[0] == (0, 1000) and comfy[-1] == (1000, 1000)
    comfy.clear()
    four = torch.cat([images, images])
    with pytest.raises(CancelledError):
        executed(nodes, image=four, weights=weights, scale="1")
    assert comfy == sorted(comfy)
    assert comfy[-1] == (3000, 4000)
