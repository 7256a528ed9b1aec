"""A model for darktable's neural restore: a zip of one folder, with a description and an ONNX file.

darktable shows the network square tiles of sRGB values that overlap by 64 pixels on each side. It knows no
task for deblurring; ``denoise`` is any network that returns a picture of the same size.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from defocusctl import __version__
from defocusctl.models.prediction import Network
from defocusctl.restoring.engines import MEMORY

OPSET = 17  # darktable may be built with an ONNX Runtime that knows no later one
BATCH = 1  # darktable shows a network one tile at a time

TILES = (512, 384, 256)
"""Sides of tiles, of which darktable takes the first that fits; it underestimates the memory they need."""

CREDITS = {
    "iniknet": ("Quan, Yao, Ji (ICCV 2023)", "https://github.com/xinyao240/INIKNet"),
    "nrknet": ("Quan, Wu, Ji (CVPR 2023)", "https://github.com/csZcWu/NRKNet"),
}
"""Whose network it is, and where they published it."""


def write_pack(path: Path, graph: Path, network: Network, description: Mapping[str, str]) -> Path:
    """Pack the ONNX file ``graph`` as ``path``, and unpack it again; returns the file from the pack."""
    manifest = _manifest(network, description)
    files = {"config.json": json.dumps(manifest, indent=4).encode(), "model.onnx": graph.read_bytes()}
    with ZipFile(path, "w", ZIP_DEFLATED) as pack:
        for name, content in files.items():
            pack.writestr(ZipInfo(f"{manifest['id']}/{name}"), content, ZIP_DEFLATED)
    with ZipFile(path) as pack:
        return Path(pack.extract(f"{manifest['id']}/model.onnx", path.parent))


def _manifest(network: Network, description: Mapping[str, str]) -> dict[str, Any]:
    """The content of ``config.json``; packs with other weights or precision have another id."""
    model, weights, precision = (description[key] for key in ("model", "weights", "precision"))
    variant = [weights] if precision == "fp32" else [weights, precision]
    author, source = CREDITS.get(model, ("the package's authors", ""))
    memory = MEMORY["onnxruntime"] * network.bytes_per_pixel * TILES[0] ** 2
    return {
        "id": re.sub(r"[^a-z0-9]+", "-", f"denoise-defocus-{model}-{'-'.join(variant)}".lower()).strip("-"),
        "name": f"defocus deblur {model} ({', '.join(variant)})",
        "description": f"Removes out-of-focus blur with {model}, trained on {description['trained_on']}",
        "task": "denoise",
        "arch": model,
        "backend": "onnx",
        "version": __version__,
        "tiling": True,
        "attributes": {"input_sizes": list(TILES)},
        "model_card": {
            "long_description": "Removes out-of-focus blur of up to a few pixels; made by defocusctl",
            "scope": "single-image defocus deblurring",
            "author": author,
            "source": source,
            "license": description["licence"],
            "training_data": description["trained_on"],
            "notes": f"weights {description['weights_hash']}, {description['software']}, "
            f"needs about {memory / 1e9:.1f} GB for tiles of {TILES[0]}",
        },
    }
