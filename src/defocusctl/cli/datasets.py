"""``defocusctl datasets``: which evaluation sets exist, which are here, and whether they are complete."""

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from defocusctl.cli.console import plain, put, put_json, put_table
from defocusctl.cli.options import RootOption
from defocusctl.errors import DataError

if TYPE_CHECKING:
    from defocusctl.data.catalogue import Dataset
    from defocusctl.data.found import FoundData

SIZES_SHOWN = 4


class ListsByDefault(TyperGroup):
    """Makes ``datasets`` alone, or with options only, mean ``datasets list``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = args and (not args[0].startswith("-") or args[0] in ctx.help_option_names)
        if not named and not ctx.resilient_parsing:  # during shell completion the name may still follow
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=ListsByDefault, help="List and check the datasets for evaluation.")


@app.command("list")
def list_datasets(
    root: RootOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array on stdout.")] = False,
) -> None:
    """List the datasets: number and size of images, where to get them, and which are here."""
    from defocusctl.cli.bars import doing
    from defocusctl.data.catalogue import SETS
    from defocusctl.data.search import data_root

    here = data_root(root) if root or os.environ.get("DEFOCUSCTL_DATA") else None
    with doing("looking for datasets"):
        found = {name: _found(entry, here) for name, entry in SETS.items()}
    if as_json:
        put_json([_as_json(entry, found[name]) for name, entry in SETS.items()], indent=2)
        return
    from rich.table import Table

    table = Table("name", "images", "size", "reference", "here")
    for name, entry in SETS.items():
        counts = ", ".join(
            f"{split} {'?' if count is None else count}" for split, count in entry.counts.items()
        )
        reference = "yes" if entry.has_reference else "no"
        present = "?" if here is None else _here_text(found[name])
        table.add_row(*map(plain, (entry.name, counts, entry.size, reference, present)))
    put_table(table)
    for entry in SETS.values():
        unseen = f"; not seen: {entry.unseen}" if entry.unseen else ""
        put(f"{entry.name}: {entry.paper}; {entry.licence}; offered by {entry.offered}{unseen}")
    if here is None:
        put("give --root, or set DEFOCUSCTL_DATA, to see which are here")


@app.command()
def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Datasets. [default: those that are here]")
    ] = None,
    root: RootOption = None,
    split: Annotated[str, typer.Option(metavar="train|val|test")] = "test",
) -> None:
    """Show what is there, and what is missing, misnamed, mispaired or damaged (exit code 8)."""
    from defocusctl.cli.bars import doing
    from defocusctl.data.catalogue import SETS
    from defocusctl.data.search import data_root, find_data, present_data

    folder = data_root(root)
    checked: dict[str, bool] = {}
    for name in dict.fromkeys(names or SETS):
        try:
            with doing(f"looking for {name}"):
                found = find_data(name, folder, split) if names else present_data(name, folder, split)
        except DataError as error:
            put(f"{name} {split}")
            put(f"  problem: {error}")
            checked[name] = False
            continue
        if found is not None:
            checked[name] = _report(found)
    if not checked:
        remedy = "run 'defocusctl datasets' for where they are offered, or name the one that should be there"
        raise DataError(f"no dataset with a {split} split is in '{folder}'", remedy)
    wrong = [name for name, right in checked.items() if not right]
    if wrong:
        cause = f"{len(wrong)} of {len(checked)} datasets have problems ({', '.join(wrong)})"
        raise DataError(cause, "fix the problems listed above")
    put(f"no problems: {', '.join(checked)}")


def _report(found: "FoundData") -> bool:
    """Print a set's contents and problems; return whether there are none."""
    from defocusctl.cli.bars import step_bar
    from defocusctl.data.found import read_headers

    with step_bar(f"reading {found.dataset}") as advance:
        headers = read_headers(found, advance)
    sizes = [f"{size.width}x{size.height} ({count})" for size, count in headers.sizes[:SIZES_SHOWN]]
    labels = Counter(label for image in found.images for label in image.labels)
    plural = "" if len(found.images) == 1 else "s"
    put(f"{found.dataset} {found.split}: {len(found.images)} image{plural} in {found.folder}")
    if sizes:
        more = ["and others"] if len(headers.sizes) > SIZES_SHOWN else []
        put(f"  sizes: {', '.join(sizes + more)}")
    if labels:
        put(f"  labels: {', '.join(f'{label} {count}' for label, count in labels.items())}")
    if found.ignored:
        put(f"  not scored: {', '.join(found.ignored)}")
    problems = (*found.problems, *headers.problems)
    for problem in problems:
        put(f"  problem: {problem}")
    return not problems


def _here_text(found: Mapping[str, "FoundData"]) -> str:
    parts = [
        f"{split} {len(data.images)}{' (see check)' if data.problems else ''}"
        for split, data in found.items()
    ]
    return ", ".join(parts) or "no"


def _as_json(entry: "Dataset", found: Mapping[str, "FoundData"]) -> dict[str, Any]:
    return {
        "name": entry.name,
        "title": entry.title,
        "paper": entry.paper,
        "images": dict(entry.counts),
        "size": entry.size,
        "reference": entry.has_reference,
        "licence": entry.licence,
        "offered": entry.offered,
        "unseen": entry.unseen,
        "here": {
            split: {"folder": str(data.folder), "images": len(data.images), "problems": list(data.problems)}
            for split, data in found.items()
        },
    }


def _found(entry: "Dataset", root: Path | None) -> dict[str, "FoundData"]:
    """The splits of a set in ``root``; unreadable ones are left out, and ``check`` says why."""
    from defocusctl.data.search import present_data

    found: dict[str, FoundData] = {}
    if root is None:
        return found
    for split in entry.counts:
        with suppress(DataError):
            if data := present_data(entry.name, root, split):
                found[split] = data
    return found
