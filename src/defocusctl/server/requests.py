"""Requests, checked: that they come from our page, and what they bring."""

import ipaddress
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, FiniteFloat, TypeAdapter, ValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from defocusctl.errors import InputError, UsageError
from defocusctl.server.photos import ServedPhoto
from defocusctl.server.worker import Choice

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
LONGEST_PART = 255  # bytes of a part of a path: file systems have no longer names and fail when asked for one
LARGEST_LIST = 1 << 20  # bytes of a list of results
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on that address."""
    address = _ip_address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


class Guard:
    """Lets a request through if its Host, its Origin and the token that its path begins with are right.

    A page elsewhere can make a browser send requests here, but not with another Origin than its own; and its
    name can be made to lead here, but then it is the Host. A server on other addresses than loopback can be
    called by any of the machine's addresses, and by its names.
    """

    def __init__(self, app: ASGIApp, host: str, token: str) -> None:
        self._app = app
        self._token = token.encode()
        self._open = not is_loopback(host)
        names = {socket.gethostname(), f"{socket.gethostname()}.local"} if self._open else set()
        self._names = {name.lower() for name in (*LOOPBACK, host, *names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if problem := self._problem(scope):
            status, words = problem
            refusal = JSONResponse({"error": words}, status, {"connection": "close"})
            await refusal(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _problem(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(host):
            return 421, "this server does not go by that name: use the address that it printed"
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site", "none")
        foreign = origin is not None and origin.lower() != f"http://{host.lower()}"
        if foreign or (site not in ("none", "same-origin") and scope["method"] != "GET"):
            return 403, "another page must not use this server"
        parts = scope["path"].lstrip("/").encode("utf-8", "replace").split(b"/")
        if not secrets.compare_digest(parts[0], self._token) or max(map(len, parts)) > LONGEST_PART:
            return 404, "there is nothing here: use the whole address that the server printed"
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        return name in self._names or (self._open and _ip_address(name) is not None)


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
        cause = f"the photo cannot be kept ({error.strerror})"
        raise InputError(cause, "free some space on the server's machine") from error


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
