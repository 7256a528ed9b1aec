"""What pages send, checked: the bytes of photos, and the list of the results that they want."""

from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, FiniteFloat, TypeAdapter, ValidationError
from starlette.requests import Request

from defocusctl.errors import InputError, UsageError
from defocusctl.server.photos import ServedPhoto
from defocusctl.server.worker import Choice

LARGEST_LIST = 1 << 20
"""Bytes of a list of results."""


def check_length(request: Request, limit: int) -> None:
    """Refuse a file that says that it is too large, before it is received.

    Raises:
        InputError: if it does.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)


async def receive(request: Request, target: Path, limit: int) -> None:
    """Write the body of a request to a file.

    Raises:
        InputError: if it is larger than ``limit`` bytes, or there is no room for it.
        ClientDisconnect: if the connection breaks.
    """
    count = 0
    try:
        with target.open("wb") as file:
            async for piece in request.stream():
                count += len(piece)
                if count > limit:
                    raise _too_large(limit)
                file.write(piece)
    except OSError as error:
        raise InputError(
            f"the photo cannot be kept ({error.strerror})", "free some space on the server's machine"
        ) from error


def _too_large(limit: int) -> InputError:
    return InputError(
        f"the file is larger than {limit / 1e6:g} MB, the limit of this server", "start it with --max-upload"
    )


async def received(request: Request) -> bytes:
    """The body of a request, cut where no list is as long."""
    text = b""
    async for piece in request.stream():
        text += piece
        if len(text) > LARGEST_LIST:
            break
    return text


class _Wanted(BaseModel):
    id: str
    strength: FiniteFloat
    max_blur: FiniteFloat | None


def choices_in(text: bytes, photo_of: Callable[[str], ServedPhoto]) -> list[Choice]:
    """The results in a JSON list of objects with ``id``, ``strength`` and ``max_blur``.

    Raises:
        UsageError: if there are none, or this is something else.
    """
    try:
        wanted = TypeAdapter(list[_Wanted]).validate_json(text)
    except ValidationError:
        raise UsageError("the values for the download are not understood", "reload the page") from None
    if not wanted:
        raise UsageError("there is nothing to download", "wait until a photo is done")
    return [Choice(photo_of(each.id), each.strength, each.max_blur) for each in wanted]
