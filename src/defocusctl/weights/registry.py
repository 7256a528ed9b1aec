"""``weights.toml`` -> entries: every set of weights that this program knows.

The packaged file comes first; the user's own file adds entries and may change the default order.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainValidator, model_validator

from defocusctl.errors import WeightsError
from defocusctl.models.plugins import NAMES, model_names
from defocusctl.system import paths
from defocusctl.system.toml import Table, read_toml
from defocusctl.weights.checksums import Checksum
from defocusctl.weights.hub import HUB, HubFile

BUNDLED = "bundled"  # the source of bundled weights: ``bundled/<model>.safetensors`` inside the package
FROM_SHAPES = "from shapes"
PICKLE_SUFFIXES = (".pth", ".pt")
WEIGHT_SUFFIXES = (".safetensors", *PICKLE_SUFFIXES)


def suffix_of(source: str) -> str:
    """The suffix of the file that ``source`` delivers, in lower case."""
    if source == BUNDLED:
        return ".safetensors"
    path = HubFile.parse(source).path if source.startswith(HUB) else urlsplit(source).path
    return PurePosixPath(path).suffix.lower()


def _source(text: str) -> str:
    """Refuse anything but ``bundled``, ``https://...`` or ``hf://owner/repo/file@revision``."""
    if text != BUNDLED and not text.startswith(("https://", "http://", HUB)):
        raise ValueError(f"'{text}' is none of '{BUNDLED}', https://..., hf://owner/repo/file@revision")
    if suffix_of(text) not in WEIGHT_SUFFIXES:
        raise ValueError(f"'{text}' does not name a file ending in {', '.join(WEIGHT_SUFFIXES)}")
    return text


def _identifier(text: str) -> str:
    if not re.fullmatch(NAMES, text):
        raise ValueError(f"'{text}' is not of lower-case letters, digits, '.', '_', '-'")
    return text


Identifier = Annotated[str, AfterValidator(_identifier)]
"""Names of models and weights become parts of file names."""
Source = Annotated[str, AfterValidator(_source)]


class Score(Table):
    """What the paper reports on a dataset, under its own protocol. PSNR is in dB."""

    model_config = ConfigDict(strict=True)

    data: str
    psnr: float | None = None
    ssim: float | None = None
    lpips: float | None = None


class WeightsEntry(Table):
    """One set of weights of one model.

    ``configuration`` holds the model's hyper-parameters, or None if they are read from the tensors' shapes;
    ``sources`` are tried in order; ``size`` is in bytes. ``about`` says in a few words what sets the weights
    apart from others of the model.
    """

    model: Identifier
    name: Identifier
    configuration: Annotated[
        dict[str, Any] | None, BeforeValidator(lambda value: None if value == FROM_SHAPES else value)
    ]
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    checksum: Annotated[Checksum, PlainValidator(lambda value: Checksum.parse(str(value)))] = Field(
        alias="digest"
    )
    licence: str
    trained_on: str
    about: str = ""
    channel_order: Literal["RGB", "BGR"]
    size: Annotated[int, Field(gt=0)] | None = None
    paper: str = ""
    scores: tuple[Score, ...] = ()

    @property
    def label(self) -> str:
        """``model/name``, unique in a registry."""
        return f"{self.model}/{self.name}"

    @property
    def is_bundled(self) -> bool:
        return BUNDLED in self.sources

    @property
    def remote_sources(self) -> tuple[str, ...]:
        return tuple(source for source in self.sources if source != BUNDLED)


class Registry(Table):
    """All entries, and for each model the names to try when the user names none."""

    entries: tuple[WeightsEntry, ...] = Field((), alias="weights")
    orders: Mapping[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field({}, alias="default-order")

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        seen: set[str] = set()
        for n, entry in enumerate(self.entries, start=1):
            if entry.label in seen:
                raise ValueError(f"weights entry {n}: {entry.label} is there already")
            seen.add(entry.label)
        return self

    def of_model(self, model: str) -> tuple[WeightsEntry, ...]:
        return tuple(entry for entry in self.entries if entry.model == model)

    def find(self, model: str, name: str) -> WeightsEntry:
        """The entry called ``name`` of ``model``.

        Raises:
            WeightsError: if there is none; the remedy lists the known names.
        """
        for entry in self.of_model(model):
            if entry.name == name:
                return entry
        known = ", ".join(entry.name for entry in self.of_model(model)) or "none"
        raise WeightsError(f"there are no weights '{name}' for {model}", f"known for {model}: {known}")

    def select(self, label: str) -> tuple[WeightsEntry, ...]:
        """The entry labelled ``model/name``, or all entries where the label is a model.

        Raises:
            WeightsError: if there are none; the remedy lists the known models.
        """
        model, _, name = label.partition("/")
        if model not in self.orders and not self.of_model(model):
            known = ", ".join(dict.fromkeys(entry.model for entry in self.entries))
            raise WeightsError(f"there are no weights for '{model}'", f"known models: {known}")
        return (self.find(model, name),) if name else self.of_model(model)

    def default_order(self, model: str) -> tuple[WeightsEntry, ...]:
        """The entries to try for ``model`` if the user names none.

        Raises:
            WeightsError: if the registry has no order for the model.
        """
        if model not in self.orders:
            raise WeightsError(f"there are no default weights for {model}", "name some with --weights")
        return tuple(self.find(model, name) for name in self.orders[model])

    def with_checksum(self, path: Path) -> WeightsEntry | None:
        """The entry whose checksum the file at ``path`` has, if any."""
        kinds = {entry.checksum.full_kind for entry in self.entries}
        found = {kind: Checksum.of_file(path, kind) for kind in kinds}
        matching = (e for e in self.entries if e.checksum.matches(found[e.checksum.full_kind]))
        return next(matching, None)


def load_registry() -> Registry:
    """The packaged entries followed by the user's own.

    Raises:
        WeightsError: if a file is missing or malformed; the error names file, key and problem.
    """
    packaged = _read(paths.packaged_registry())
    named = os.environ.get("DEFOCUSCTL_WEIGHTS")
    users = Path(named).expanduser() if named else paths.config_dir() / "weights.toml"
    try:
        users.stat()
    except OSError as error:
        if not named:  # there is none, or it is in another user's home folder
            return packaged
        if isinstance(error, FileNotFoundError):
            cause = f"DEFOCUSCTL_WEIGHTS names the file {users}, which does not exist"
            raise WeightsError(cause, "correct or unset that variable") from error
    return _merged(packaged, users)


def _read(file: Path) -> Registry:
    return read_toml(file, Registry, WeightsError, "see docs/weights.md for the keys")


def _merged(packaged: Registry, users: Path) -> Registry:
    """``packaged`` with the entries and orders of the file ``users``, which may only add and reorder."""
    own = _read(users)
    models = sorted({entry.model for entry in packaged.entries} | set(model_names()))
    taken = {entry.label for entry in packaged.entries}
    for n, entry in enumerate(own.entries, start=1):
        place = f"'{users}', weights entry {n} ({entry.label})"
        if entry.model not in models:
            raise WeightsError(f"{place}: unknown model '{entry.model}'", f"allowed: {', '.join(models)}")
        if entry.label in taken:
            raise WeightsError(f"{place}: that name is the package's own", "choose another name")
    merged = Registry.model_construct(
        entries=packaged.entries + own.entries, orders={**packaged.orders, **own.orders}
    )
    for model, names in own.orders.items():
        known = [entry.name for entry in merged.of_model(model)]
        for name in names:
            if name not in known:
                allowed = ", ".join(known) or f"the models {', '.join(models)}"
                cause = f"'{users}', default-order.{model}: unknown name '{name}'"
                raise WeightsError(cause, f"allowed: {allowed}")
    return merged
