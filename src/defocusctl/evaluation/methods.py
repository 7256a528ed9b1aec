"""The methods compared: the untouched input, classical sharpening with a disc of one radius, and networks."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.filters import unsharp_mask
from skimage.restoration import richardson_lucy, wiener
from torch.utils.flop_counter import FlopCounterMode

from defocusctl.deblurrer import Deblurrer
from defocusctl.errors import DeviceError, UsageError
from defocusctl.evaluation.results import Method
from defocusctl.models.catalogue import network_errors
from defocusctl.models.prediction import Network
from defocusctl.photo import Photo
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.system.devices import is_out_of_memory

Floats: TypeAlias = NDArray[np.float32]

UNSHARP_AMOUNT = 1.0
WIENER_BALANCE = 0.03
RICHARDSON_LUCY_ROUNDS = 10


def disc(radius: float) -> Floats:
    """A uniform disc of ``radius`` pixels, anti-aliased over one pixel, with sum 1."""
    half = int(np.ceil(radius))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(y, x), 0.0, 1.0).astype(np.float32)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def unsharp(image: Floats, radius: float) -> Floats:
    """Unsharp mask with a Gaussian of sigma radius / 2, which is the disc's standard deviation."""
    sharpened = unsharp_mask(image, radius=radius / 2, amount=UNSHARP_AMOUNT, channel_axis=2)
    return np.asarray(sharpened, dtype=np.float32)


def wiener_disc(image: Floats, radius: float) -> Floats:
    """Wiener deconvolution with a Laplacian prior on the reflected image."""
    return _by_colour(image, radius, lambda plane, kernel: wiener(plane, kernel, WIENER_BALANCE, clip=False))


def richardson_lucy_disc(image: Floats, radius: float) -> Floats:
    """Richardson-Lucy deconvolution on the reflected image, stopped early."""
    return _by_colour(
        image,
        radius,
        lambda plane, kernel: richardson_lucy(plane, kernel, RICHARDSON_LUCY_ROUNDS, filter_epsilon=1e-3),
    )


CLASSICAL: Mapping[str, Callable[[Floats, float], Floats]] = {
    "unsharp": unsharp,
    "wiener": wiener_disc,
    "richardson-lucy": richardson_lucy_disc,
}


def _by_colour(
    image: Floats, radius: float, deconvolve: Callable[[Floats, Floats], NDArray[np.floating]]
) -> Floats:
    """Deconvolve each colour with a reflected border, which keeps out the wrap-around."""
    kernel = disc(radius)
    border = 4 * kernel.shape[0]
    padded = np.pad(image, ((border, border), (border, border), (0, 0)), mode="symmetric")
    planes = [deconvolve(padded[..., colour], kernel)[border:-border, border:-border] for colour in range(3)]
    return np.stack(planes, axis=2).astype(np.float32)


INPUT = "input"
_PROBE = 128  # side in pixels of the image for counting multiply-adds


@dataclass(frozen=True)
class Candidate:
    """A method and its function on (H, W, 3) float32 RGB pixels in [0, 1]; the result is not clipped.

    ``blur_radius`` estimates the blur radius in pixels, (H, W), of such pixels; ``settings`` are those of the
    network. Both are None for classical methods.
    """

    info: Method
    restore: Callable[[Floats], Floats]
    blur_radius: Callable[[Floats], Floats] | None = None
    settings: RestoreSettings | None = None


def untouched() -> Candidate:
    """The identity, the baseline for all other methods."""
    return Candidate(Method(INPUT, "input"), lambda image: image)


def classical(name: str, radius: float) -> Candidate:
    """One of ``CLASSICAL`` for a blur of ``radius`` pixels."""
    function = CLASSICAL[name]
    return Candidate(Method(f"{name} ({radius:g} px)", "baseline"), lambda image: function(image, radius))


def network(loaded: Deblurrer) -> Candidate:
    """A loaded network on the same path as ``deblur``, with float pixels."""
    restorer = loaded.restorer
    weights = loaded.weights
    scale = restorer.settings.scale
    variant = f" ({loaded.variant})" if loaded.variant else ""
    info = Method(
        label=f"{weights.model}/{weights.name}{variant}" + ("" if scale == "1" else f" at scale {scale}"),
        kind="model" if scale == "1" else "tool",
        model=weights.model,
        variant=loaded.variant or None,
        weights=weights.name,
        source=weights.source,
        digest=str(weights.checksum),
        device=str(restorer.device),
        precision=restorer.precision,
        parameters=sum(parameter.numel() for parameter in loaded.network.parameters()),
        macs=macs_per_pixel(loaded.network),
        trained_on=loaded.trained_on,
    )
    return Candidate(
        info,
        restore=lambda image: restorer.restore([Photo.of_pixels(image, 1.0)])[0].pixels,
        blur_radius=lambda image: restorer.blur_radius(Photo.of_pixels(image, 1.0)),
        settings=restorer.settings,
    )


def network_alone(loaded: Deblurrer) -> Candidate:
    """As ``network``, but as the authors' scripts run it: the whole image at once, without context around it.

    Its sides must be multiples of 16.
    """

    def restore(image: Floats) -> Floats:
        x = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
        try:
            with torch.inference_mode():
                restored = loaded.network(x.to(loaded.restorer.device)).image
        except RuntimeError as error:
            if is_out_of_memory(error):
                cause = "there is not enough memory for a whole image"
                raise DeviceError(cause, "use a machine with more, or 'eval'") from error
            raise
        return np.asarray(restored[0].permute(1, 2, 0).cpu().numpy(), dtype=np.float32)

    return replace(network(loaded), restore=restore, blur_radius=None)


def macs_per_pixel(network: Network) -> float:
    """Multiply-adds of convolutions and matrix products per pixel, counted on a 128 x 128 image.

    Sums of shifted images (NRKNet's separable kernels) and element-wise work are not counted.
    """
    with network_errors(network.name), torch.no_grad(), FlopCounterMode(display=False) as counter:
        probe = type(network)(network.config).eval()
        probe(torch.zeros(1, 3, _PROBE, _PROBE))
    return float(counter.get_total_flops()) / 2 / _PROBE**2


def with_distinct_labels(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates with distinct labels: weights whose file names are equal are labelled by path.

    Raises:
        UsageError: if a method occurs twice.
    """
    counts = Counter(candidate.info.label for candidate in candidates)
    named = []
    for candidate in candidates:
        info = candidate.info
        if counts[info.label] > 1:
            label = info.label.replace(f"{info.model}/{info.weights}", f"{info.model}/{info.source}", 1)
            candidate = replace(candidate, info=replace(info, label=label))
        named.append(candidate)
    if len({candidate.info.label for candidate in named}) < len(named):
        remedy = "name each baseline, and each model with its weights, once"
        raise UsageError("a method is named twice", remedy)
    return named
