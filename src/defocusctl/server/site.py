"""The addresses of the server: the page, what is dropped on it, what it shows, and what is downloaded."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from defocusctl.errors import BugError, DefocusctlError, UsageError
from defocusctl.photo import check_is_photo
from defocusctl.server.photos import SESSION, Photos, ServedPhoto, Session, Status
from defocusctl.server.pictures import RADIUS, SIDES, tile
from defocusctl.server.requests import Guard, check_length, choices_in, receive, received
from defocusctl.server.worker import ServeSettings, Worker

LOOK_EVERY = 0.1  # seconds between looks for something new to tell a page
PING_EVERY = 10.0
FILES = {
    **{side: (f"{side}.webp", "image/webp") for side in SIDES},
    "radius": (RADIUS, "application/octet-stream"),
}
"""The names and types of what is shown of a photo."""


@dataclass(eq=False)
class Site:
    """What answers requests: ``html`` at first. ``on_bug`` gets the line about an unexpected error."""

    photos: Photos
    worker: Worker
    html: str
    settings: ServeSettings
    on_bug: Callable[[str], None]
    stopping: bool = False

    def app(self, token: str) -> ASGIApp:
        """The application behind its guard."""
        one = "/{token}/{session}/photos/{photo}"
        routes = [
            Route("/{token}/", self._page),
            Route("/{token}/{session}/events", self._events),
            Route("/{token}/{session}/photos", self._upload, methods=["POST"]),
            Route("/{token}/{session}/results", self._prepare, methods=["POST"]),
            Route("/{token}/{session}/results/{name}", self._download),
            Route(one, self._remove, methods=["DELETE"]),
            Route(one + "/again", self._again, methods=["POST"]),
            Route(one + "/blur-map", self._blur_map),
            Route(one + "/{round:int}/{what}", self._picture),
            Route(one + "/{round:int}/{side}/{row:int}/{column:int}", self._tile),
        ]
        site = Starlette(
            routes=routes,
            exception_handlers={
                DefocusctlError: self._explain,
                HTTPException: self._nothing,
                Exception: self._bug,
            },
            lifespan=self._lifespan,
        )
        return Guard(site, self.settings.host, token)

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        forgetting = asyncio.create_task(self._forget())
        yield
        forgetting.cancel()
        with suppress(asyncio.CancelledError):
            await forgetting

    async def _forget(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self.settings.forget_after))
            await run_in_threadpool(self.photos.forget, self.settings.forget_after)

    async def _explain(self, _request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, 400)

    async def _nothing(self, _request: Request, _error: Exception) -> Response:
        return JSONResponse({"error": "there is nothing here: reload the page"}, 404)

    async def _bug(self, _request: Request, error: Exception) -> Response:
        bug = BugError(error)
        self.on_bug(str(bug))
        return JSONResponse({"error": str(bug)}, 500)

    async def _page(self, _request: Request) -> Response:
        return HTMLResponse(self.html)

    def _session(self, request: Request) -> Session:
        key = request.path_params["session"]
        if not SESSION.fullmatch(key):
            raise HTTPException(404)
        return self.photos.session(key)

    def _photo(self, request: Request) -> ServedPhoto:
        return self.photos.get(request.path_params["session"], request.path_params["photo"])

    async def _events(self, request: Request) -> Response:
        """The state of a session, again whenever it has changed; while this is read, the page is open."""
        key = self._session(request).key

        async def states() -> AsyncIterator[str]:
            with self.photos.present(key) as session:
                sent, quiet = "", 0.0  # the state sent last, and seconds since
                while not self.stopping and not await request.is_disconnected():
                    state = json.dumps(self.photos.state(session))
                    if state != sent:
                        sent, quiet = state, 0.0
                        yield f"data: {state}\n\n"
                    elif quiet >= PING_EVERY:
                        quiet = 0.0
                        yield ": still here\n\n"
                    await asyncio.sleep(LOOK_EVERY)
                    quiet += LOOK_EVERY

        return StreamingResponse(states(), media_type="text/event-stream")

    async def _upload(self, request: Request) -> Response:
        """Receive the bytes of a file. If the connection breaks, nothing is left of them."""
        asked = request.query_params
        model, scale = asked.get("model", ""), asked.get("scale", "")
        self.worker.check(model, scale)
        check_length(request, self.settings.max_bytes)
        with self.photos.present(self._session(request).key) as session:
            photo = self.photos.reserve(session, asked.get("name", ""), model, scale)
            try:
                await receive(request, photo.source, self.settings.max_bytes)
            except ClientDisconnect:
                self.photos.remove(photo)
                return Response(status_code=400)
            except BaseException:
                self.photos.remove(photo)
                raise
        try:
            check_is_photo(photo.source)
        except DefocusctlError as error:
            photo.fail(error)
        else:
            self.photos.queue(photo)
        return JSONResponse({"id": photo.key}, 201)

    async def _again(self, request: Request) -> Response:
        """Restore a photo with another network or scale."""
        photo, asked = self._photo(request), request.query_params
        model, scale = asked.get("model", ""), asked.get("scale", "")
        self.worker.check(model, scale)
        if photo.status not in (Status.DONE, Status.FAILED):
            raise UsageError(f"'{photo.source.name}' is being restored", "wait until it is done")
        photo.wanted = model, scale
        self.photos.queue(photo)
        return Response(status_code=204)

    async def _remove(self, request: Request) -> Response:
        self.photos.remove(self._photo(request))
        return Response(status_code=204)

    async def _picture(self, request: Request) -> Response:
        """The whole photo before or after, or its blur radius."""
        place = request.path_params
        if place["what"] not in FILES:
            raise HTTPException(404)
        name, kind = FILES[place["what"]]
        path = self._photo(request).folder / str(place["round"]) / name
        if not path.exists():
            raise HTTPException(404)
        return FileResponse(path, media_type=kind)

    async def _tile(self, request: Request) -> Response:
        photo, place = self._photo(request), request.path_params
        folder = photo.folder / str(place["round"])
        if photo.shown is None or not folder.exists():
            raise HTTPException(404)
        try:
            picture = await run_in_threadpool(
                tile, folder, place["side"], photo.shown.size, place["row"], place["column"]
            )
        except LookupError:
            raise HTTPException(404) from None
        return Response(picture, media_type="image/png")

    async def _blur_map(self, request: Request) -> Response:
        path = await run_in_threadpool(self.worker.blur_map, self._photo(request))
        return FileResponse(path, media_type="image/png")

    async def _prepare(self, request: Request) -> Response:
        """Make the file to download; it replaces what the session has prepared before."""
        session = self._session(request)
        choices = choices_in(await received(request), lambda key: self.photos.get(session.key, key))
        path, notes = await run_in_threadpool(self.worker.prepare, choices, self.photos.downloads(session))
        return JSONResponse({"path": path.name, "notes": notes})

    async def _download(self, request: Request) -> Response:
        path = self.photos.downloads(self._session(request)) / Path(request.path_params["name"]).name
        if not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, filename=path.name, media_type="application/octet-stream")
