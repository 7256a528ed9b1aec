"""Files from and to the Hugging Face hub, through its own client; downloads report to our progress bar."""

import inspect
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from defocusctl.errors import OutputError, WeightsError
from defocusctl.system import paths
from defocusctl.weights.sources import HubSource
from defocusctl.weights.transfer import OnProgress

ANSWER_SECONDS = 20.0
BUSY = (408, 429)
SERVER_ERROR = 500


def hub_is_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` is set, which this program honours for every source."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def fetch_from_hub(source: HubSource, part: Path, on_progress: OnProgress | None) -> None:
    """Bring the file of ``source`` to ``part``, by way of a folder beside it.

    Raises:
        WeightsError: if the hub has no such file, or cannot be reached.
        OSError: if ``part`` cannot be written.
    """
    staging = part.with_name(f"{part.name}-hub")
    try:
        _download(source, on_progress, local_dir=staging).replace(part)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def hub_file(source: HubSource, on_progress: OnProgress | None, *, offline: bool) -> Path:
    """The file of ``source`` in the hub's own layout inside this program's cache, downloaded if need be.

    Raises:
        WeightsError: if the file cannot be had, or ``offline`` and it is not in the cache.
    """
    return _download(source, on_progress, cache_dir=paths.cache_dir() / "hub", offline=offline)


def upload(repository: str, files: Mapping[str, bytes], message: str, *, private: bool) -> str:
    """Commit ``files`` (contents by name) to the model ``repository``, made if need be; the commit's page.

    Without ``private`` the owner's default holds. The token is the client's own: ``HF_TOKEN`` or the one that
    ``hf auth login`` keeps. It goes nowhere else.

    Raises:
        OutputError: if there is no token, or the hub refuses or cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    where = f"hf://{repository}"
    if hub_is_offline():
        raise OutputError(f"{where}: the network is off", "unset HF_HUB_OFFLINE")
    if get_token() is None:
        raise OutputError(f"{where}: there is no token to write with", "run 'hf auth login', or set HF_TOKEN")
    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    client = HfApi()
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    try:
        client.create_repo(repository, private=private or None, exist_ok=True)
        return client.create_commit(repository, operations, commit_message=message).commit_url
    except HfHubHTTPError as error:
        status = f"HTTP status {error.response.status_code}"
        raise OutputError(f"{where}: {status}", "check the name, and that the token may write") from error
    except Exception as error:  # of the hub's transport; its words may hold anything, so they are not shown
        raise OutputError(f"{where}: the hub cannot be reached", "try again while online") from error


def _download(
    source: HubSource,
    on_progress: OnProgress | None,
    *,
    local_dir: Path | None = None,
    cache_dir: Path | None = None,
    offline: bool = False,
) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its failed attempts; ours is one line
    try:
        path = hf_hub_download(
            source.repository,
            source.path,
            revision=source.revision,
            local_dir=local_dir,
            cache_dir=cache_dir,
            local_files_only=offline or not _answers(source),
            **({} if on_progress is None else _reporting_to(on_progress)),
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


def _answers(source: HubSource) -> bool:
    """True if the hub responds, even with an error. The client itself would try for half a minute.

    Raises:
        HfHubHTTPError: if it responds that there is no such file, or none for us.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    url = hf_hub_url(source.repository, source.path, revision=source.revision)
    try:
        get_hf_file_metadata(url, timeout=ANSWER_SECONDS)
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status not in BUSY and status < SERVER_ERROR:
            raise
    except Exception:  # those of the hub's transport, as below
        return False
    return True


def _reporting_to(on_progress: OnProgress) -> dict[str, Any]:
    """The argument that makes the client tell ``on_progress``; none before version 1.1, which has it."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import tqdm

    reported = 0

    class Reporter(tqdm):
        """A bar that draws nothing. The client may have two for one file, and turn one back on a retry."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            nonlocal reported
            self.n += n or 0
            if self.n > reported:
                reported = int(self.n)
                on_progress(reported, self.total)

    return {"tqdm_class": Reporter} if "tqdm_class" in inspect.signature(hf_hub_download).parameters else {}
