"""Files from the Hugging Face hub, through its own client, with our progress bar."""

import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

from defocusctl.errors import WeightsError
from defocusctl.system import paths

OnProgress = Callable[[int, int | None], None]
"""Called with the bytes done, and the total where that is known."""

HUB = "hf://"
HUB_WEIGHTS = "model.safetensors"  # the file of a hub repository that is used when none is named
RESPONSE_SECONDS = 20.0
ATTEMPTS = 3  # how often an interrupted transfer is tried; the client itself resumes only from version 2.4 on
BUSY = (408, 429)
SERVER_ERROR = 500


class HubFile(NamedTuple):
    """A file of a repository at a revision."""

    repository: str
    path: str
    revision: str

    def __str__(self) -> str:
        return f"{HUB}{self.repository}/{self.path}@{self.revision}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``hf://owner/repo/file@revision``, or ``hf://owner/repo`` for its ``model.safetensors``.

        Raises:
            ValueError: if the text has another form.
        """
        match = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)(?:/([^@\s]+))?(?:@([\w./-]+))?", text)
        if match is None or (match[2] and not match[3]):
            raise ValueError(f"'{text}' is not hf://owner/repo/file@revision")
        return cls(match[1], match[2] or HUB_WEIGHTS, match[3] or "main")


def hub_is_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` is set, which this program honours for every source."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def fetch_from_hub(file: HubFile, part: Path, on_progress: OnProgress | None) -> None:
    """Download ``file`` to ``part``, by way of a folder beside it.

    Raises:
        WeightsError: if the hub has no such file, or cannot be reached.
        OSError: if ``part`` cannot be written.
    """
    staging = part.with_name(f"{part.name}-hub")
    try:
        _download(file, on_progress, local_dir=staging).replace(part)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def cached_hub_file(file: HubFile, on_progress: OnProgress | None, *, offline: bool) -> Path:
    """``file`` in the hub's own layout inside this program's cache, downloaded if need be.

    Raises:
        WeightsError: if the file cannot be fetched, or ``offline`` and it is not in the cache.
    """
    return _download(file, on_progress, cache_dir=paths.cache_dir() / "hub", offline=offline)


def silence_client() -> None:
    """Silence the hub client's log and progress bars; its errors become our own one-line messages."""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


def _download(
    file: HubFile,
    on_progress: OnProgress | None,
    *,
    local_dir: Path | None = None,
    cache_dir: Path | None = None,
    offline: bool = False,
) -> Path:
    import httpx
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    silence_client()
    bar = None if on_progress is None else _reporter(on_progress)
    problem = ""
    for _ in range(ATTEMPTS):
        try:
            path = hf_hub_download(
                file.repository,
                file.path,
                revision=file.revision,
                local_dir=local_dir,
                cache_dir=cache_dir,
                local_files_only=offline or not _responds(file),
                tqdm_class=bar,
            )
            return Path(path)
        except LocalEntryNotFoundError as error:
            reason = (
                "it is not in the cache and the network is off" if offline else "the hub cannot be reached"
            )
            raise WeightsError(f"{file}: {reason}", "fetch it while online") from error
        except HfHubHTTPError as error:
            status = f"HTTP status {error.response.status_code}"
            raise WeightsError(f"{file}: {status}", "check repository, file and revision") from error
        except httpx.RemoteProtocolError as error:
            problem = str(error)
        except Exception as error:  # the client's transport errors differ between versions
            raise WeightsError(f"{file}: {error}", "check it and try again") from error
    raise WeightsError(f"{file}: {problem}", "try again later")


def _responds(file: HubFile) -> bool:
    """True if the hub responds, even with an error. The client alone would keep trying for half a minute.

    Raises:
        HfHubHTTPError: if it responds that the file does not exist or may not be read.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    url = hf_hub_url(file.repository, file.path, revision=file.revision)
    try:
        get_hf_file_metadata(url, timeout=RESPONSE_SECONDS)
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status not in BUSY and status < SERVER_ERROR:
            raise
    except Exception:  # transport errors, as above
        return False
    return True


def _reporter(on_progress: OnProgress) -> Any:
    """A progress-bar class for the client that draws nothing and reports to ``on_progress``."""
    from huggingface_hub.utils.tqdm import tqdm

    reported = 0

    class Reporter(tqdm):
        """The client may use two bars for one file, and reset one on a retry."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            nonlocal reported
            self.n += n or 0
            if self.n > reported:
                reported = int(self.n)
                on_progress(reported, self.total)

    return Reporter
