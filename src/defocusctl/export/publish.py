"""Weights to the Hugging Face hub: the safetensors file, its configuration, and a model card."""

import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from defocusctl.errors import UsageError
from defocusctl.export.run import Exported, ExportSettings, export_network
from defocusctl.weights.checkpoint import Checkpoint
from defocusctl.weights.hub import upload
from defocusctl.weights.resolve import ResolvedWeights
from defocusctl.weights.sources import HUB_WEIGHTS

CARD = Path(__file__).with_name("card.md.jinja")


def publish_weights(
    checkpoint: Checkpoint,
    weights: ResolvedWeights,
    repository: str,
    settings: ExportSettings,
    *,
    private: bool,
) -> Exported:
    """Upload the weights as ``model.safetensors`` with ``config.json`` and ``README.md``.

    The ``output`` of the answer is the page of the commit.

    Raises:
        UsageError: if ``repository`` is not owner/name, or the settings are not for safetensors.
        OutputError: if the file does not agree with the network, or the hub does not take it.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise UsageError(f"'{repository}' is not owner/name", "give the repository's name like anna/iniknet")
    if settings.format != "safetensors":
        raise UsageError(f"{settings.format} files are not for --push", "use --format safetensors")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / HUB_WEIGHTS
        exported = export_network(checkpoint, weights, path, settings)
        files = {
            HUB_WEIGHTS: path.read_bytes(),
            "config.json": _configuration(checkpoint, exported).encode(),
            "README.md": _card(checkpoint, exported, repository).encode(),
        }
    commit = upload(repository, files, f"Add weights of {checkpoint.metadata.model}", private=private)
    return replace(exported, output=commit)


def _configuration(checkpoint: Checkpoint, exported: Exported) -> str:
    content = {**exported.description, "configuration": dict(checkpoint.metadata.configuration)}
    return json.dumps(content, indent=2) + "\n"


def _card(checkpoint: Checkpoint, exported: Exported, repository: str) -> str:
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(CARD.read_text(encoding="utf-8")).render(
        **exported.description,
        repository=repository,
        source=checkpoint.metadata.source,
        parameters=sum(parameter.numel() for parameter in checkpoint.model.parameters()),
        compared=len(exported.comparison.sizes),
        difference=exported.comparison.pixels,
    )
