"""The places that weights come from: a URL, a file on the Hugging Face hub, or the package itself."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

PICKLE_SUFFIXES = (".pth", ".pt")
WEIGHT_SUFFIXES = (".safetensors", *PICKLE_SUFFIXES)
HUB_WEIGHTS = "model.safetensors"
"""The weights of a repository on the hub, where no file is named."""


@dataclass(frozen=True)
class BundledSource:
    """``bundled/<model>.safetensors`` inside the package."""

    def __str__(self) -> str:
        return "bundled"

    @property
    def suffix(self) -> str:
        return ".safetensors"


@dataclass(frozen=True)
class UrlSource:
    """A file served over HTTP or HTTPS."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def suffix(self) -> str:
        return PurePosixPath(urlsplit(self.url).path).suffix.lower()


@dataclass(frozen=True)
class HubSource:
    """A file of a repository on the Hugging Face hub, at a fixed revision."""

    repository: str
    path: str
    revision: str

    def __str__(self) -> str:
        return f"hf://{self.repository}/{self.path}@{self.revision}"

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.path).suffix.lower()


Source = BundledSource | UrlSource | HubSource
RemoteSource = UrlSource | HubSource


def parse_hub_source(text: str) -> HubSource:
    """Read ``hf://owner/repo/file@revision``, or ``hf://owner/repo`` for what ``export --push`` put there.

    Raises:
        ValueError: if the text has another form.
    """
    if whole := re.fullmatch(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", text):
        return HubSource(whole[1], HUB_WEIGHTS, whole[2] or "main")
    match = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)/([^@\s]+)@([\w./-]+)", text)
    if match is None:
        raise ValueError(f"'{text}' is not hf://owner/repo/file@revision")
    return HubSource(*match.groups())


def parse_source(text: str) -> Source:
    """Read ``bundled``, ``https://...``, or ``hf://owner/repo/file@revision``.

    Raises:
        ValueError: if the text is none of them, or the file's suffix is not one of ``WEIGHT_SUFFIXES``.
    """
    source: Source
    if text == "bundled":
        source = BundledSource()
    elif text.startswith("hf://"):
        source = parse_hub_source(text)
    elif text.startswith(("https://", "http://")):
        source = UrlSource(text)
    else:
        raise ValueError(f"'{text}' is none of 'bundled', https://..., hf://owner/repo/file@revision")
    if source.suffix not in WEIGHT_SUFFIXES:
        raise ValueError(f"'{text}' does not name a file ending in {', '.join(WEIGHT_SUFFIXES)}")
    return source
