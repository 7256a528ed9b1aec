"""``defocusctl batch`` with its options and their checks."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from defocusctl.cli.options import PhotoOptions, check_above_zero
from defocusctl.errors import UsageError

if TYPE_CHECKING:
    from defocusctl.batch.jobs import BatchOptions


Format = Literal[
    "jpg", "jpeg", "jpe", "jfif", "png", "tif", "tiff", "webp", "bmp", "dib", "ppm", "pgm", "pnm", "avif",
    "heic", "heif", "hif", "jxl",
]  # fmt: skip
"""The formats of results by the suffix of their names; the tests compare them with ``photo.targets``."""


@dataclass(frozen=True, kw_only=True)
class BatchCall(PhotoOptions):
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... OUT",
            help="Folders, photos, quoted patterns like 'in/**/*.jpg'; last, the folder for the results.",
        ),
    ]
    listed: Annotated[
        str | None,
        typer.Option("--from", metavar="FILE|-", help="A list of more inputs, one per line; '-' is stdin."),
    ] = None
    root: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Name results by their paths below this folder. [default: each IN; for --from, '.']",
        ),
    ] = None
    recursive: Annotated[bool, typer.Option("--recursive/--no-recursive", help="Include subfolders.")] = True
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only photos whose name, or a part of it, matches; repeatable."),
    ] = None
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Leave out photos that match; repeatable.")
    ] = None
    file_format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            metavar="SUFFIX",
            help="Format of all results, any that 'deblur -o' writes. [default: that of each photo]",
            show_default=False,
        ),
    ] = None
    maps_dir: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Draw the maps in a tree in this folder instead of beside the results."
        ),
    ] = None
    maps_data: Annotated[
        bool, typer.Option("--maps-data", help="Save the maps as arrays beside the results.")
    ] = False
    compare_to: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Draw before and after in a tree in this folder."),
    ] = None
    jobs_at_once: Annotated[
        int | None,
        typer.Option(
            "--jobs", min=1, metavar="N", help="Photos restored at the same time. [default: automatic]"
        ),
    ] = None
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="Compute in this process, or in the workers of a Ray cluster."),
    ] = "local"
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="A running Ray cluster. [default: RAY_ADDRESS, or a new one on this machine]",
        ),
    ] = None
    force: Annotated[bool, typer.Option("--force", help="Process everything again, even if it is done.")] = (
        False
    )
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failure.")] = False
    max_failures: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Stop after more than N failures.")
    ] = None
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Read everything that is done, even if size and modification time are the same."
        ),
    ] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be done; estimate time and memory.")
    ] = False
    report: Annotated[
        bool, typer.Option("--report", help="Write a gallery page, OUT/defocusctl-report/index.html.")
    ] = False
    watch: Annotated[
        bool, typer.Option("--watch", help="Also process photos that arrive in the folders, until Ctrl-C.")
    ] = False
    as_json: Annotated[
        bool, typer.Option("--json", help="Print events on stdout, one JSON object per line.")
    ] = False

    @property
    def inputs(self) -> list[str]:
        return self.paths[:-1]

    @property
    def out(self) -> str:
        return self.paths[-1]

    def check(self) -> None:
        """Refuse options that cannot be combined, before anything is read.

        Raises:
            UsageError: if there are any, or a format needs a package that is not installed.
        """
        from defocusctl.batch.storage import is_url, without_scheme
        from defocusctl.photo.header import missing_package
        from defocusctl.photo.targets import format_of_suffix

        if not self.inputs and self.listed is None:
            raise UsageError("inputs or the folder for the results are missing", "give IN and OUT")
        check_above_zero("--max-megapixels", self.max_megapixels)
        stored = any(map(is_url, self.inputs))
        files = any(Path(without_scheme(text)).is_file() for text in self.inputs)
        if self.watch and (self.listed is not None or is_url(self.out) or stored or files):
            raise UsageError("--watch is for folders only", "give folders, and --include for a choice")
        if self.report and (stored or is_url(self.out)):
            cause = "--report shows folders only"
            raise UsageError(cause, "leave it out, or copy photos and results to folders")
        if self.root is not None and stored:
            raise UsageError("--root is for folders only", "leave it out: names begin below each IN")
        if self.dry_run and (self.watch or self.report):
            raise UsageError("--dry-run does nothing to watch or report", "leave out one or the other")
        if self.ray_address is not None and self.engine != "ray":
            raise UsageError("--ray-address is for --engine ray", "give both or none")
        for option, folder, instead in (
            ("--maps-dir", self.maps_dir, "--maps"),
            ("--compare-to", self.compare_to, "--compare"),
        ):
            if folder is not None and is_url(folder):
                cause = f"{option} draws in no store"
                raise UsageError(cause, f"give {instead} instead: pictures beside the results")
        kind = self.file_format and format_of_suffix(f".{self.file_format}")
        if kind and (lack := missing_package(kind)):
            raise UsageError(f"--format {self.file_format}: {lack[0]}", lack[1])
        self.settings()

    def options(self, out: Path) -> "BatchOptions":
        """What to do with each photo, with results in ``out``."""
        from defocusctl.batch.jobs import BatchOptions
        from defocusctl.batch.storage import without_scheme

        def tree(wanted: bool, folder: str | None) -> Path | None:
            return Path(without_scheme(folder)) if folder is not None else out if wanted else None

        return BatchOptions(
            model=self.model,
            restoring=self.settings(),
            format=None if self.file_format is None else f".{self.file_format}",
            quality=self.quality,
            maps=tree(self.maps, self.maps_dir),
            maps_data=self.maps_data,
            compare=tree(self.compare, self.compare_to),
            white=self.white,
            mask=self.read_mask(),
            max_megapixels=self.max_megapixels,
        )


def batch(call: BatchCall) -> None:
    """Deblur folders of photos. Run it again to resume, and to process new and changed photos."""
    call.check()

    from defocusctl.cli.bars import doing

    with doing("starting", quiet=call.quiet):
        from defocusctl.cli.batch import run_batch
    run_batch(call)
