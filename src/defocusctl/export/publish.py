"""Publishes weights on the Hugging Face hub: safetensors, configuration and model card."""

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from defocusctl.errors import OutputError, UsageError
from defocusctl.export.run import Exported, ExportSettings, export_network
from defocusctl.weights.checkpoint import Checkpoint
from defocusctl.weights.hub import HUB, HUB_WEIGHTS, hub_is_offline, silence_client
from defocusctl.weights.resolve import ResolvedWeights

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

    The result's ``output`` is the URL of the commit.

    Raises:
        UsageError: if ``repository`` is not owner/name, or the settings are not for safetensors.
        OutputError: if the file does not agree with the network, or the hub rejects it.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise UsageError(f"'{repository}' is not owner/name", "give the repository's name like anna/iniknet")
    if settings.format != "safetensors":
        raise UsageError(f"{settings.format} files are not for --push", "use --format safetensors")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / HUB_WEIGHTS
        exported = export_network(checkpoint, weights, path, settings)
        configuration = {**exported.description, "configuration": dict(checkpoint.metadata.configuration)}
        files = {
            HUB_WEIGHTS: path.read_bytes(),
            "config.json": (json.dumps(configuration, indent=2) + "\n").encode(),
            "README.md": _card(checkpoint, exported, repository).encode(),
        }
    commit = upload(repository, files, f"Add weights of {checkpoint.metadata.model}", private=private)
    return replace(exported, output=commit)


def upload(repository: str, files: Mapping[str, bytes], message: str, *, private: bool) -> str:
    """Commit ``files`` (contents by name) to the model ``repository``, created if needed; return its URL.

    Without ``private`` the owner's default applies. The token is the client's own: ``HF_TOKEN`` or the one
    stored by ``hf auth login``. It is sent nowhere else.

    Raises:
        OutputError: if there is no token, or the hub refuses or cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError

    where = f"{HUB}{repository}"
    if hub_is_offline():
        raise OutputError(f"{where}: the network is off", "unset HF_HUB_OFFLINE")
    if get_token() is None:
        raise OutputError(f"{where}: there is no token to write with", "run 'hf auth login', or set HF_TOKEN")
    silence_client()
    client = HfApi()
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    try:
        client.create_repo(repository, private=private or None, exist_ok=True)
        return client.create_commit(repository, operations, commit_message=message).commit_url
    except HfHubHTTPError as error:
        status = f"HTTP status {error.response.status_code}"
        raise OutputError(f"{where}: {status}", "check the name, and that the token may write") from error
    except Exception as error:  # transport errors; their text may contain anything, so it is not shown
        raise OutputError(f"{where}: the hub cannot be reached", "try again while online") from error


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
