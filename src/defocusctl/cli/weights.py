"""``defocusctl weights``: list weights, and manage the cache."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from defocusctl.cli.console import plain, put, put_json, put_table, say_error
from defocusctl.errors import UsageError, WeightsError
from defocusctl.models.plugins import model_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from defocusctl.weights.registry import WeightsEntry

app = typer.Typer(help="List, fetch, verify and remove weights.", no_args_is_help=True)

Labels = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODEL[/NAME]", help="Weights, or a model for all of its weights."),
]


@app.command("list")
def list_weights(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="Only this model's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array on stdout.")] = False,
) -> None:
    """List all weights: what sets them apart, their training data and licence, and whether they are here.

    Below, which of them each model takes without --weights.
    """
    from defocusctl.weights.registry import load_registry

    entries = _chosen([model] if model else None, everything=model is None)
    orders = load_registry().orders
    facts = [{**_facts(entry), "default": _place(entry, orders)} for entry in entries]
    if as_json:
        put_json(facts, indent=2)
        return
    from rich.table import Column, Table

    heads = ("model", "name", "trained on", "licence", "size", "state")
    table = Table(*(Column(head, no_wrap=head != "trained on") for head in heads))
    for entry in facts:
        size = f"{entry['size'] / 1e6:.1f} MB" if entry["size"] else "?"
        training = f"{entry['trained_on']} ({entry['about']})" if entry["about"] else entry["trained_on"]
        cells = (entry["model"], entry["name"], training, entry["licence"], size, entry["state"])
        table.add_row(*map(plain, cells))
    put_table(table)
    for name in dict.fromkeys(entry.model for entry in entries if entry.model in model_names()):
        if name in orders:
            put(f"without --weights, {name} takes {', else '.join(orders[name])}")


@app.command()
def fetch(
    labels: Labels = None,
    everything: Annotated[bool, typer.Option("--all", help="Fetch all weights that restore photos.")] = False,
) -> None:
    """Download weights to the cache and verify them; existing files are only verified.

    --all leaves out weights for metrics; fetch those by name. One failure does not stop the rest.
    """
    from defocusctl.cli.bars import doing, download_bar
    from defocusctl.weights.download import ensure_file

    restoring = model_names()
    chosen = _chosen(labels, everything=everything)
    entries = [entry for entry in chosen if not everything or entry.model in restoring]
    failed = []
    for entry in entries:
        try:
            with doing(f"fetching {entry.label}"), download_bar(entry.label, quiet=False) as on_download:
                path = ensure_file(entry, offline=False, on_progress=on_download)
        except WeightsError as error:
            if len(entries) == 1:
                raise
            say_error(str(error))
            failed.append(entry.label)
        else:
            put(f"{entry.label}: {path}")
    if failed:
        cause = f"{len(failed)} of {len(entries)} weights could not be fetched"
        raise WeightsError(cause, f"see above, then fetch again {' '.join(failed)}")


@app.command()
def verify(labels: Labels = None) -> None:
    """Check the hashes of the weights that are here; exit with code 5 if any are damaged.

    Without arguments, check all that are here; named ones must be here.
    """
    from defocusctl.cli.bars import doing
    from defocusctl.weights.cache import files_of, is_intact

    damaged = []
    for entry in _chosen(labels, everything=not labels):
        files = files_of(entry)
        if labels and not files:
            raise _not_here(entry.label)
        for path in files:
            with doing(f"verifying {path}"):
                intact = is_intact(entry, path)
            put(f"{entry.label}: {'ok' if intact else 'DAMAGED'} {path}")
            damaged += [] if intact else [str(path)]
    if damaged:
        remedy = "remove them with 'defocusctl weights remove', and fetch them again"
        raise WeightsError(f"damaged: {', '.join(damaged)}", remedy)


@app.command()
def remove(
    labels: Labels = None,
    everything: Annotated[bool, typer.Option("--all", help="Empty the weights cache.")] = False,
) -> None:
    """Delete weights from the cache; bundled weights stay."""
    from defocusctl.weights.cache import present_file, remove_all_cached, remove_cached

    entries = _chosen(labels, everything=everything)
    if everything:
        put(f"{remove_all_cached() / 1e6:.1f} MB freed")
        return
    for entry in entries:
        freed = remove_cached(entry)
        if freed:
            put(f"{entry.label}: {freed / 1e6:.1f} MB freed")
        elif present_file(entry):
            put(f"{entry.label}: came with the package and cannot be removed")
        else:
            put(f"{entry.label}: not in the cache, nothing to remove")


@app.command()
def path(label: Annotated[str, typer.Argument(metavar="MODEL[/NAME]", help="Weights.")]) -> None:
    """Print the path of weights that are here; for a model, the paths of all its weights that are here."""
    from defocusctl.weights.cache import files_of

    found = [files[0] for files in map(files_of, _chosen([label], everything=False)) if files]
    if not found:
        raise _not_here(label)
    for file in found:
        put(str(file))


def _not_here(label: str) -> WeightsError:
    return WeightsError(f"{label} is not here", f"run 'defocusctl weights fetch {label}'")


def _chosen(labels: list[str] | None, *, everything: bool) -> "tuple[WeightsEntry, ...]":
    from defocusctl.weights.registry import load_registry

    registry = load_registry()
    if bool(labels) == everything:
        cause = "no weights, or conflicting ones, were named"
        raise UsageError(cause, "name some as MODEL/NAME or MODEL, or use --all alone")
    if not labels:
        return registry.entries
    return tuple(entry for label in labels for entry in registry.select(label))


def _place(entry: "WeightsEntry", orders: "Mapping[str, Sequence[str]]") -> int | None:
    """From 1, which of its model's weights are tried when no --weights are given."""
    order = orders.get(entry.model, ())
    return order.index(entry.name) + 1 if entry.name in order else None


def _facts(entry: "WeightsEntry") -> dict[str, Any]:
    from defocusctl.weights.cache import files_of, present_file, state_of
    from defocusctl.weights.registry import FROM_SHAPES

    files, present = files_of(entry), present_file(entry)
    return {
        "model": entry.model,
        "name": entry.name,
        "about": entry.about,
        "trained_on": entry.trained_on,
        "licence": entry.licence,
        "size": present.stat().st_size if present else entry.size,
        "state": state_of(entry),
        "path": str(files[0]) if files else None,
        "digest": str(entry.checksum),
        "channel_order": entry.channel_order,
        "configuration": FROM_SHAPES if entry.configuration is None else entry.configuration,
        "sources": list(entry.sources),
        "paper": entry.paper,
        "scores": [score.model_dump() for score in entry.scores],
    }
