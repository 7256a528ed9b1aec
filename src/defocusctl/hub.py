"""Files from the Hugging Face hub, through its own client, with its progress bars silenced."""

import os
import shutil
from pathlib import Path

from defocusctl import places
from defocusctl.errors import WeightsError
from defocusctl.sources import HubSource


def hub_is_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` is set, which this program honours for every source."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def fetch_from_hub(source: HubSource, part: Path) -> None:
    """Bring the file of ``source`` to ``part``; a broken download goes on from a folder beside it.

    Raises:
        WeightsError: if the hub has no such file, or cannot be reached.
        OSError: if ``part`` cannot be written.
    """
    staging = part.with_name(f"{part.name}-hub")
    fetched = _download(source, local_dir=staging, cache_dir=None, offline=False)
    fetched.replace(part)
    shutil.rmtree(staging)


def hub_file(source: HubSource, *, offline: bool) -> Path:
    """The file of ``source`` in the hub's own layout inside this program's cache, downloaded if need be.

    Raises:
        WeightsError: if the file cannot be had, or ``offline`` and it is not in the cache.
    """
    return _download(source, local_dir=None, cache_dir=places.cache_dir() / "hub", offline=offline)


def _download(source: HubSource, *, local_dir: Path | None, cache_dir: Path | None, offline: bool) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    try:
        path = hf_hub_download(
            source.repository,
            source.path,
            revision=source.revision,
            local_dir=local_dir,
            cache_dir=cache_dir,
            local_files_only=offline,
        )
    except LocalEntryNotFoundError as error:
        reason = "it is not in the cache and the network is off" if offline else "the hub cannot be reached"
        raise WeightsError(f"{source}: {reason}", "fetch it while online") from error
    except HfHubHTTPError as error:
        status = f"HTTP status {error.response.status_code}"
        raise WeightsError(f"{source}: {status}", "check repository, file and revision") from error
    except (
        Exception
    ) as error:  # the hub's transport, and with it the errors of a broken transfer, has changed by version
        raise WeightsError(f"{source}: {error}", "check it and try again") from error
    return Path(path)
