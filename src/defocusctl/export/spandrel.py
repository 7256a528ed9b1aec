"""INIKNet and NRKNet for spandrel, the library with which ComfyUI, chaiNNer and others load networks.

``install()`` adds both to its registry; ``ModelLoader`` then recognises our files and the authors'
checkpoints by their keys. The classes have the form of spandrel's own architectures (docs/spandrel.md).
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from spandrel import MAIN_REGISTRY, Architecture, ArchSupport, ImageModelDescriptor
from spandrel.util import KeyCondition
from torch import Tensor

from defocusctl.models.iniknet import INIKNet
from defocusctl.models.nrknet import NRKNet
from defocusctl.models.prediction import Network
from defocusctl.models.upstream_keys import from_upstream, recognise
from defocusctl.photo.geometry import Size
from defocusctl.restoring.tile_runner import reflected
from defocusctl.restoring.tiles import CONTEXT, padded_size


class _DefocusArch(Architecture):  # type: ignore[misc]  # spandrel says nothing of its types
    """A network that removes defocus blur: RGB in, RGB of the same size out."""

    kind: ClassVar[type[Network]]
    our_keys: ClassVar[tuple[str, ...]]
    authors_keys: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        either = (KeyCondition.has_all(*keys) for keys in (self.our_keys, self.authors_keys))
        super().__init__(id=self.kind.__name__, detect=KeyCondition.has_any(*either))

    def load(self, state_dict: Mapping[str, Tensor]) -> Any:
        """The network with these weights, for RGB images.

        Weights with our key names are for RGB, those with the authors' names for BGR, as they were released.

        Raises:
            KeyError: for a key that is not in the authors' release.
            RuntimeError: if the tensors do not fit together.
        """
        is_upstream = recognise(state_dict) is not None
        state = from_upstream(self.kind.name, state_dict) if is_upstream else dict(state_dict)
        network = self.kind.from_state(state)
        size = network.config
        descriptor = ImageModelDescriptor(
            network,
            state,
            architecture=self,
            purpose="Restoration",
            tags=[f"{size.width}w"]
            + ([f"1/{size.feature_scale} features"] if size.feature_scale > 1 else []),
            supports_half=False,  # filtering with 8 or 11 bits would be visible
            supports_bfloat16=False,
            scale=1,
            input_channels=3,
            output_channels=3,
            call_fn=_restored,
        )
        if is_upstream:
            network.reverse_colours()
        return descriptor.eval()


def _restored(network: Network, image: Tensor) -> Tensor:
    """(B, 3, H, W) of any size -> the same; extended on all sides by its reflection, as ``deblur`` does."""
    size = Size(*image.shape[-2:])
    rows, columns = (
        torch.from_numpy(reflected(-CONTEXT, padded - CONTEXT, length)).to(image.device)
        for padded, length in zip(padded_size(size, CONTEXT, network.multiple), size, strict=True)
    )
    restored: Tensor = network(image.index_select(2, rows).index_select(3, columns)).image
    return restored[..., CONTEXT : CONTEXT + size.height, CONTEXT : CONTEXT + size.width]


class INIKNetArch(_DefocusArch):
    """INIKNet of any size."""

    kind = INIKNet
    our_keys = "unet.enter1.0.weight", "atoms.mlps.0.first.weight", "mu_predictor.weight"
    authors_keys = "unet.feat_extract.0.main.0.weight", "inr_conv.kernelINR_list.0.layers.0.weight"


class NRKNetArch(_DefocusArch):
    """NRKNet of any size."""

    kind = NRKNet
    our_keys = "unet.enter1.0.weight", "blurring.kernels.logits"
    authors_keys = "feat_extract.0.main.0.weight", "GCM.kernels"


def install() -> None:
    """Add both networks to spandrel's main registry; does nothing if they are there."""
    supports = (ArchSupport.from_architecture(arch) for arch in (INIKNetArch(), NRKNetArch()))
    MAIN_REGISTRY.add(*supports, ignore_duplicates=True)
