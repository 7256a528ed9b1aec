"""The key names of the authors' released checkpoints, translated to this package's.

The translation works on names alone: tensors keep their shapes and values.
"""

import re
from collections.abc import Mapping

from torch import Tensor

_RES = r"\.layers\.(\d+)\.main\.0\.main\.0\.weight", r"\.layers\.(\d+)\.main\.1\.main\.0\.weight"


def _res_blocks(theirs: str, ours: str, *, single: bool = False) -> list[tuple[str, str]]:
    """Rules for a stage of residual blocks; ``single`` if ours is one block rather than a list."""
    block = ours if single else ours + r".\1"
    return [(theirs + _RES[0], block + ".first.0.weight"), (theirs + _RES[1], block + ".second.weight")]


def _cells(theirs: str, ours: str) -> list[tuple[str, str]]:
    """Rules for one duplex recurrence; the release calls fine to coarse right2left."""
    rules = [(theirs + r"\.norm\.norm\.(weight|bias)", ours + r".norm.\1")]
    for direction, name in (("right2left", "fine_to_coarse"), ("left2right", "coarse_to_fine")):
        rules += _res_blocks(rf"{theirs}\.{direction}\.cell\.layers", f"{ours}.{name}.blocks")
        rules.append((rf"{theirs}\.{direction}\.cell\.conv\.(weight|bias)", rf"{ours}.{name}.gates.\1"))
    return rules


def _convolutions(theirs: str, ours: tuple[str, ...]) -> list[tuple[str, str]]:
    """Rules for the numbered convolution blocks ``theirs``."""
    return [(rf"{theirs}\.{n}\.main\.0\.weight", f"unet.{name}.0.weight") for n, name in enumerate(ours)]


_INIKNET = [
    *_res_blocks(r"unet\.Encoder\.0", "unet.encode1"),
    *_res_blocks(r"unet\.Encoder\.1", "unet.encode2"),
    *_res_blocks(r"unet\.Encoder\.2", "unet.encode3"),
    *_res_blocks(r"unet\.Decoder\.0", "unet.decode2"),
    *_res_blocks(r"unet\.Decoder\.1", "unet.decode1"),
    *_convolutions(r"unet\.feat_extract", ("enter1", "enter2", "enter3", "merge2", "merge1")),
    (r"unet\.up1\.main\.0\.weight", "unet.up2.0.weight"),
    (r"unet\.up2\.main\.0\.weight", "unet.up1.0.weight"),
    *_cells("lstms_scale_select", "mu_recurrence"),
    *_cells("lstms_basis_select", "omega_recurrence"),
    (r"scale_select\.(weight|bias)", r"mu_predictor.\1"),
    (r"basis_select\.(weight|bias)", r"omega_predictor.\1"),
    (r"inr_conv\.kernelINR_list\.(\d+)\.layers\.0\.(weight|bias)", r"atoms.mlps.\1.first.\2"),
    (r"inr_conv\.kernelINR_list\.(\d+)\.layers\.2\.(weight|bias)", r"atoms.mlps.\1.hidden.\2"),
    (r"inr_conv\.kernelINR_list\.(\d+)\.layers\.4\.weight", r"atoms.mlps.\1.last.weight"),
    # One scalar, stored twice; if the copies differ, the second layer's counts.
    (r"inr_conv\.kernelINR_list\.(\d+)\.layers\.1\.w0", ""),
    (r"inr_conv\.kernelINR_list\.(\d+)\.layers\.3\.w0", r"atoms.mlps.\1.frequency"),
    (r"sum\.(weight|bias)", r"filtering.sum.\1"),
]

_NRKNET = [
    *_res_blocks(r"Encoder\.0", "unet.encode1", single=True),
    *_res_blocks(r"Encoder\.1", "unet.encode2", single=True),
    *_res_blocks(r"Encoder\.2", "unet.encode3", single=True),
    *_res_blocks(r"Decoder\.0", "unet.decode3", single=True),
    *_res_blocks(r"Decoder\.1", "unet.decode2", single=True),
    *_res_blocks(r"Decoder\.2", "unet.decode1", single=True),
    *_res_blocks(r"bottleneck\.1", "unet.bottleneck.1", single=True),
    *_convolutions("bottleneck", ("bottleneck.0",)),
    *_convolutions("feat_extract", ("enter1", "enter2", "enter3", "up2", "up1")),
    (r"APU\.conv\.main\.0\.weight", "coefficients.attention.0.weight"),
    (
        r"APU\.conv\.main\.1\.(weight|bias|running_mean|running_var|num_batches_tracked)",
        r"coefficients.attention.1.\1",
    ),
    (r"APU\.conv_atten\.conv\.(weight|bias)", r"coefficients.gates.\1"),
    (r"GCM\.kernels", "blurring.kernels.logits"),
    (r"SummationLayer\.conv\.(weight|bias)", r"blurring.sum.\1"),
]

_RULES = {"iniknet": _INIKNET, "nrknet": _NRKNET}
_TELLTALE = {"iniknet": "inr_conv.kernelINR_list.0.layers.0.weight", "nrknet": "GCM.kernels"}


def recognise(state: Mapping[str, object]) -> str | None:
    """The name of the network that was released with these keys (with or without ``module.``), or None."""
    names = {key.removeprefix("module.") for key in state}
    return next((model for model, key in _TELLTALE.items() if key in names), None)


def from_upstream(model: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A released state dict with this package's key names.

    Raises:
        KeyError: for a key that is not in the release of ``model``.
    """
    translated: dict[str, Tensor] = {}
    for key, tensor in state.items():
        name = _translate(model, key.removeprefix("module."))
        if name:
            translated[name] = tensor
    return translated


def _translate(model: str, key: str) -> str:
    for pattern, replacement in _RULES[model]:
        match = re.fullmatch(pattern, key)
        if match:
            return match.expand(replacement)
    raise KeyError(key)
