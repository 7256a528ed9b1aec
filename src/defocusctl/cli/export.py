"""``defocusctl export``: exports networks for other programs, or weights to the Hugging Face hub."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from defocusctl.cli.console import put_json, say
from defocusctl.cli.options import ForceOption, ModelOption, OfflineOption, QuietOption, WeightsOption
from defocusctl.errors import UsageError
from defocusctl.models.plugins import DEFAULT_MODEL

if TYPE_CHECKING:
    from defocusctl.export.run import Exported

Format = Literal["onnx", "torch-export", "safetensors", "dtmodel"]
"""The formats; checked against ``export.run`` in the tests, which loads torch."""


def export(
    model: ModelOption = DEFAULT_MODEL,
    weights: WeightsOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")
    ] = None,
    format: Annotated[
        Format | None, typer.Option(help="[default: onnx, or safetensors with --push]", show_default=False)
    ] = None,
    precision: Annotated[
        str, typer.Option(metavar="fp32|fp16", help="Precision for computing the coefficients.")
    ] = "fp32",
    opset: Annotated[
        int | None, typer.Option(metavar="N", help="ONNX opset, 17 to 21. [default: 18]", show_default=False)
    ] = None,
    coefficients: Annotated[
        bool, typer.Option("--coefficients", help="Add the coefficient maps to the outputs.")
    ] = False,
    check: Annotated[
        list[Path] | None, typer.Option(metavar="PHOTO", help="Compare on this photo; repeatable.")
    ] = None,
    push: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Upload the weights to the Hugging Face Hub.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="With --push: make a new repository private.")
    ] = False,
    force: ForceOption = False,
    offline: OfflineOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Export a network; the file is compared with the network on photos before it is saved."""
    if (output is None) == (push is None):
        cause = "the destination is missing or ambiguous"
        raise UsageError(cause, "give either -o FILE or --push OWNER/NAME")
    if private and push is None:
        raise UsageError("--private is for --push", "leave it out")
    chosen = format or ("onnx" if push is None else "safetensors")

    from defocusctl.cli.bars import doing, download_bar

    with doing("starting", quiet=quiet):
        from defocusctl.export.publish import publish_weights
        from defocusctl.export.run import ExportSettings, export_network
        from defocusctl.weights.checkpoint import load_checkpoint
        from defocusctl.weights.resolve import resolve_weights

    settings = ExportSettings(chosen, precision, opset, coefficients)
    if check:
        settings = replace(settings, photos=tuple(check))
    with (
        doing(f"verifying the weights of {model}", quiet=quiet),
        download_bar(f"weights for {model}", quiet=quiet) as on_download,
    ):
        resolved = resolve_weights(model, weights, offline=offline, on_progress=on_download)
    if resolved.note:
        say(resolved.note)
    what = f"exporting {model} as {chosen} and comparing it with the network"
    with doing(what if push is None else f"{what}, then uploading it to {push}", quiet=quiet):
        checkpoint = load_checkpoint(resolved.path, model_name=model)
        if push is not None:
            exported = publish_weights(checkpoint, resolved, push, settings, private=private)
        else:
            assert output is not None
            exported = export_network(checkpoint, resolved, output, settings, force=force)
    if as_json:
        put_json(asdict(exported))
    elif not quiet:
        say(_summary(exported))


def _summary(exported: "Exported") -> str:
    compared = exported.comparison
    coefficients = "" if compared.coefficients is None else f", of coefficients {compared.coefficients:.1e}"
    return (
        f"{exported.output}: {exported.bytes / 1e6:.1f} MB; the largest difference from the network is "
        f"{compared.pixels:.1e}{coefficients} on {len(compared.sizes)} "
        f"parts of photos ({compared.limit:.1e} is allowed)"
    )
