"""``weights.toml`` -> entries: every set of weights this program knows, described as data.

The packaged file comes first; a file of the user's own adds entries and may change the default order.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from defocusctl.errors import WeightsError
from defocusctl.models.plugins import NAMES, model_names
from defocusctl.system import paths
from defocusctl.weights.checksums import Checksum
from defocusctl.weights.sources import BundledSource, RemoteSource, Source, parse_source
from defocusctl.weights.toml_table import Table

FROM_SHAPES = "from shapes"
CHANNEL_ORDERS = ("RGB", "BGR")
REQUIRED = frozenset(
    {"model", "name", "configuration", "sources", "digest", "licence", "trained_on", "channel_order"}
)
OPTIONAL = frozenset({"size", "paper", "scores"})


T = TypeVar("T")


@dataclass(frozen=True)
class Score:
    """What the paper reports on a data set, under the paper's own protocol. PSNR is in dB."""

    data: str
    psnr: float | None = None
    ssim: float | None = None
    lpips: float | None = None


@dataclass(frozen=True)
class WeightsEntry:
    """One set of weights of one model.

    ``configuration`` holds the model's hyper-parameters, or None when they are read from the tensors' shapes;
    ``sources`` are tried in order; ``size`` is in bytes.
    """

    model: str
    name: str
    configuration: Mapping[str, Any] | None
    sources: tuple[Source, ...]
    digest: Checksum
    licence: str
    trained_on: str
    channel_order: str
    size: int | None = None
    paper: str = ""
    scores: tuple[Score, ...] = ()

    @property
    def label(self) -> str:
        """``model/name``, unique in a registry."""
        return f"{self.model}/{self.name}"

    @property
    def is_bundled(self) -> bool:
        return any(isinstance(source, BundledSource) for source in self.sources)

    @property
    def remote_sources(self) -> tuple[RemoteSource, ...]:
        return tuple(source for source in self.sources if not isinstance(source, BundledSource))


@dataclass(frozen=True)
class Registry:
    """All entries, and for each model the names to try when the user names none."""

    entries: tuple[WeightsEntry, ...]
    orders: Mapping[str, tuple[str, ...]]

    def of_model(self, model: str) -> tuple[WeightsEntry, ...]:
        return tuple(entry for entry in self.entries if entry.model == model)

    def find(self, model: str, name: str) -> WeightsEntry:
        """The entry ``name`` of ``model``.

        Raises:
            WeightsError: if there is none; the remedy lists what there is.
        """
        for entry in self.of_model(model):
            if entry.name == name:
                return entry
        known = ", ".join(entry.name for entry in self.of_model(model)) or "none"
        raise WeightsError(f"there are no weights '{name}' for {model}", f"known for {model}: {known}")

    def select(self, label: str) -> tuple[WeightsEntry, ...]:
        """The entry labelled ``model/name``, or all entries where the label is a model.

        Raises:
            WeightsError: if there are none; the remedy lists what there is.
        """
        model, _, name = label.partition("/")
        if model not in self.orders and not self.of_model(model):
            known = ", ".join(dict.fromkeys(entry.model for entry in self.entries))
            raise WeightsError(f"there are no weights for '{model}'", f"known models: {known}")
        return (self.find(model, name),) if name else self.of_model(model)

    def default_order(self, model: str) -> tuple[WeightsEntry, ...]:
        """The entries to try for ``model`` when the user names none.

        Raises:
            WeightsError: if the registry has no order for the model.
        """
        if model not in self.orders:
            raise WeightsError(f"there are no default weights for {model}", "name some with --weights")
        return tuple(self.find(model, name) for name in self.orders[model])

    def with_digest(self, path: Path) -> WeightsEntry | None:
        """The entry whose digest the file at ``path`` has, if any."""
        kinds = {entry.digest.whole_kind for entry in self.entries}
        found = {kind: Checksum.of_file(path, kind) for kind in kinds}
        agreeing = (e for e in self.entries if e.digest.agrees_with(found[e.digest.whole_kind]))
        return next(agreeing, None)


def load_registry() -> Registry:
    """The packaged entries followed by the user's own.

    Raises:
        WeightsError: if a file is missing or malformed; the error names file, key and what is allowed.
    """
    packaged = read_registry(paths.packaged_registry())
    named = os.environ.get("DEFOCUSCTL_WEIGHTS")
    users = Path(named).expanduser() if named else paths.config_dir() / "weights.toml"
    if named:
        _check_named(users)
    return _merged(packaged, users) if named or users.is_file() else packaged


def _check_named(users: Path) -> None:
    try:
        users.stat()
    except FileNotFoundError as error:
        cause = f"DEFOCUSCTL_WEIGHTS names the file {users}, which does not exist"
        raise WeightsError(cause, "correct or unset that variable") from error
    except OSError:
        return  # reading it says what is wrong


def read_registry(file: Path) -> Registry:
    """The entries and orders of one ``weights.toml``; its orders may name entries of another file.

    Raises:
        WeightsError: if the file cannot be read or is malformed.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WeightsError(f"cannot read {file} ({error})", "fix or remove that file") from error
    whole = Table(file, "", content)
    whole.check_keys(required=frozenset(), optional={"weights", "default-order"})
    orders = whole.table("default-order")
    entries: list[WeightsEntry] = []
    for table in whole.tables("weights"):
        entry = _entry(table)
        if entry.label in {other.label for other in entries}:
            table.refuse("name", f"{entry.label} is there already", "a name of its own")
        entries.append(entry)
    return Registry(tuple(entries), {model: orders.texts(model) for model in orders.content})


def _merged(packaged: Registry, users: Path) -> Registry:
    """``packaged`` with the entries and orders of the file ``users``, which may only add and reorder."""
    own = read_registry(users)
    models = sorted({entry.model for entry in packaged.entries} | set(model_names()))
    taken = {entry.label for entry in packaged.entries}
    for n, entry in enumerate(own.entries, start=1):
        table = Table(users, f"weights entry {n}", {})
        if entry.model not in models:
            table.refuse("model", f"unknown model '{entry.model}'", ", ".join(models))
        if entry.label in taken:
            table.refuse("name", f"{entry.label} is the package's own", "a name of its own")
    merged = Registry(packaged.entries + own.entries, {**packaged.orders, **own.orders})
    for model, names in own.orders.items():
        known = [entry.name for entry in merged.of_model(model)]
        for name in names:
            if name not in known:
                allowed = ", ".join(known) or f"the models {', '.join(models)}"
                Table(users, "default-order", {}).refuse(model, f"unknown name '{name}'", allowed)
    return merged


def _entry(table: Table) -> WeightsEntry:
    table.check_keys(required=REQUIRED, optional=OPTIONAL)
    model, name = _identifier(table, "model"), _identifier(table, "name")
    table = table.within(f"{table.where} ({model}/{name})")
    return WeightsEntry(
        model=model,
        name=name,
        configuration=_configuration(table),
        sources=tuple(_parsed(table, "sources", parse_source, text) for text in table.texts("sources")),
        digest=_parsed(table, "digest", Checksum.parse, table.text("digest")),
        licence=table.text("licence"),
        trained_on=table.text("trained_on"),
        channel_order=table.choice("channel_order", CHANNEL_ORDERS),
        size=_size(table),
        paper=table.text("paper") if "paper" in table else "",
        scores=tuple(_score(score) for score in table.tables("scores")),
    )


def _identifier(table: Table, key: str) -> str:
    """Models and names become parts of file names."""
    value = table.text(key)
    if not re.fullmatch(NAMES, value):
        table.refuse(key, f"'{value}'", "lower-case letters, digits, '.', '_', '-'")
    return value


def _configuration(table: Table) -> Mapping[str, Any] | None:
    value = table.content["configuration"]
    return None if value == FROM_SHAPES else table.table("configuration").content


def _parsed(table: Table, key: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise WeightsError(f"{table.place(key)}: {error}", "fix that entry") from error


def _size(table: Table) -> int | None:
    size = table.number("size")
    if size is not None and (size <= 0 or not size.is_integer()):
        table.refuse("size", f"{size}", "a number of bytes")
    return None if size is None else int(size)


def _score(table: Table) -> Score:
    table.check_keys(required={"data"}, optional={"psnr", "ssim", "lpips"})
    return Score(table.text("data"), table.number("psnr"), table.number("ssim"), table.number("lpips"))
