"""``defocusctl serve``: a page in the browser to drop photos on."""

from dataclasses import dataclass
from typing import Annotated

import typer

from defocusctl.cli.console import put, say, say_error, say_warning
from defocusctl.cli.options import (
    DEFAULT_MAX_MEGAPIXELS,
    ModelOption,
    RestoringOptions,
    WeightsOption,
    check_above_zero,
    check_finite,
)
from defocusctl.errors import UsageError
from defocusctl.models.plugins import DEFAULT_MODEL

PACKAGES = ("starlette", "uvicorn")


@dataclass(frozen=True, kw_only=True)
class ServeCall(RestoringOptions):
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="The address to listen on; by default only this machine can connect."
        ),
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 is a free one.")] = 8470
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False
    model: ModelOption = DEFAULT_MODEL
    weights: WeightsOption = None
    max_photos: Annotated[int, typer.Option(min=1, help="Photos kept at a time, on all pages together.")] = (
        100
    )
    max_upload: Annotated[float, typer.Option(metavar="MB", help="Refuse larger files.")] = 500.0
    max_megapixels: Annotated[float, typer.Option(help="Refuse larger photos.")] = DEFAULT_MAX_MEGAPIXELS
    forget_after: Annotated[
        float,
        typer.Option(metavar="MINUTES", help="Forget the photos of a page this long after it is closed."),
    ] = 10.0


def serve(call: ServeCall) -> None:
    """Deblur photos on a page in the browser; they stay on this machine. Ctrl-C ends it."""
    check_above_zero("--max-megapixels", call.max_megapixels)
    for option, value in (("--max-upload", call.max_upload), ("--forget-after", call.forget_after)):
        check_above_zero(option, value)
        check_finite(option, value)

    from defocusctl.cli.bars import doing

    restoring = call.restoring()
    try:
        with doing("starting", quiet=call.quiet):
            from defocusctl.server.run import serve
            from defocusctl.server.worker import ServeSettings
    except ModuleNotFoundError as error:
        if error.name in PACKAGES:
            raise UsageError(f"{error.name} is not installed", "pip install 'defocusctl[serve]'") from error
        raise
    from defocusctl.server.requests import is_loopback

    settings = ServeSettings(
        host=call.host,
        port=call.port,
        model=call.model,
        weights=call.weights,
        offline=call.offline,
        restoring=restoring,
        white=call.white,
        max_megapixels=call.max_megapixels,
        max_bytes=round(call.max_upload * 1e6),
        max_photos=call.max_photos,
        forget_after=call.forget_after * 60,
    )

    def ready(address: str) -> None:
        put(address)
        if not is_loopback(call.host):
            say_warning("whoever has this address can use this server, and the network can read along")
        if not call.quiet:
            say("open this address in a browser; Ctrl-C ends the server and removes its photos")
        if call.open_page:
            import webbrowser

            webbrowser.open(address)

    serve(settings, on_ready=ready, on_bug=say_error)
    if not call.quiet:
        say("ended; all photos on the page are removed")
