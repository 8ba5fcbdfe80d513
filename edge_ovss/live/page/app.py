"""The addresses of the page. Nothing that a request says becomes a path or a template."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from edge_ovss.errors import EdgeOvssError, UsageError
from edge_ovss.live.page.access import WORDS, App, Guard, largest_body
from edge_ovss.live.page.address import PageAddress
from edge_ovss.live.page.feed import Feed
from edge_ovss.live.page.room import Room
from edge_ovss.live.page.state import (
    Classes,
    Dials,
    PageInfo,
    UnknownRange,
    Warnings,
    run_id,
)
from edge_ovss.live.page.word_desk import BusyError, WordDesk
from edge_ovss.live.sinks import LiveFrame

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Page:
    """What a run shows, and the ASGI application that serves it.

    Args:
        info: What the run is about.
        address: Where the page listens, with the true port.
        token: What a viewer must have; None if no token is needed.
        words: Where viewers change the words of an open bundle; None if they cannot.
    """

    def __init__(
        self,
        info: PageInfo,
        address: PageAddress,
        token: str | None,
        words: WordDesk | None = None,
    ) -> None:
        self.info = info
        self.words = words
        self.classes = Classes(0, info.names, info.palette)
        self.dials = Dials(info)
        self.warnings = Warnings()
        self.feed = Feed(lambda message: self.room.publish(message), info.sources)
        self.room = Room(self.feed.want, sources=max(1, len(info.sources)))
        if words is not None:
            words.listen(lambda: self.room.tell({"kind": "words", **self._worded()}))
        self._run = run_id()
        self._token = token
        self._assets = _assets()
        self.guard = Guard(self._routes(), address, token)

    def state(self) -> dict[str, object]:
        """Return everything but the frames; JSON types only."""
        return {
            "kind": "hello",
            "run": self._run,
            **self.info.to_json(),
            **self.classes.to_json(),
            **self._worded(),
            "settings": self.dials.to_json(),
            "warnings": self.warnings.to_json(),
            "history": [moment.to_json() for moment in self.feed.history()],
            "viewers": len(self.room),
            "encoded": self.feed.encoded,
        }

    def show(self, frame: LiveFrame) -> None:
        """Take a frame; viewers are told before it if its labels stand for something else.

        Raises:
            Exception: A frame before it could not be encoded.
        """
        found = self.classes.following(frame.result)
        if found is not self.classes:
            self.classes = found
            self.room.tell({"kind": "classes", **found.to_json()})
        self.feed.show(frame, found.number)

    def _worded(self) -> dict[str, object]:
        """Return what changes with the words, but for the classes: these come with the frames."""
        if self.words is None:
            return {"words": None}
        unknown = UnknownRange.of(self.words.unknown)
        return {
            "words": self.words.to_json(),
            "details": {**self.info.details, "vocabulary": self.words.bundle.vocabulary.name},
            "unknown": None if unknown is None else vars(unknown),
        }

    def _routes(self) -> App:
        from starlette.applications import Starlette
        from starlette.routing import Route, WebSocketRoute

        app = Starlette(
            routes=[
                Route("/", self._index),
                Route("/assets/{name:str}", self._asset),
                Route("/login", self._login, methods=["POST"]),
                Route("/api/state", self._state),
                Route("/api/frame", self._frame),
                Route("/api/settings", self._settings, methods=["GET", "PUT"]),
                Route(WORDS, self._words, methods=["GET", "POST"]),
                WebSocketRoute("/ws", self._watch),
            ]
        )
        app.router.redirect_slashes = False
        return app

    async def _index(self, request: Request) -> Response:
        allowed = bool(request.scope["edge_ovss.token_ok"])
        return self._file("index.html") if allowed else self._file("login.html", status=401)

    async def _asset(self, request: Request) -> Response:
        return self._file(str(request.path_params["name"]))

    def _file(self, name: str, *, status: int = 200) -> Response:
        from starlette.responses import PlainTextResponse, Response

        found = self._assets.get(name)
        if found is None:
            return PlainTextResponse("There is no such file.\n", 404)
        return Response(found.content, status, media_type=found.kind)

    async def _login(self, request: Request) -> Response:
        from starlette.responses import Response

        given = await _body(request)
        token = given.get("token") if isinstance(given, dict) else None
        if not isinstance(token, str):
            return _answer({"error": 'Expected a JSON object like {"token": "…"}.'}, 400)
        if not self.guard.accepts(token):
            return _answer({"error": "This is not the token of this run."}, 401)
        response = Response(status_code=204)
        if self._token is not None:
            cookie = {"httponly": True, "samesite": "strict", "path": "/"}
            response.set_cookie(self.guard.cookie, self._token, **cookie)  # type: ignore[arg-type]
        return response

    async def _state(self, request: Request) -> Response:
        del request
        return _answer(self.state())

    async def _frame(self, request: Request) -> Response:
        del request
        newest = self.feed.newest()
        if newest is None:
            return _answer({"error": "There is no frame yet."}, 404)
        return _answer({"index": newest.index, **newest.facts})

    async def _settings(self, request: Request) -> Response:
        if request.method == "PUT":
            try:
                self.dials.change(await _body(request))
            except UsageError as err:
                return _answer({"error": err.message}, 400)
            self.room.tell({"kind": "settings", "settings": self.dials.to_json()})
        return _answer(self.dials.to_json())

    async def _words(self, request: Request) -> Response:
        if self.words is None:
            text = "The words of this bundle are frozen into its graph; export one with --open N."
            return _answer({"error": text, "hint": None}, 404)
        if request.method == "GET":
            return _answer(self.words.to_json())
        try:
            self.words.ask(await _body(request))
        except EdgeOvssError as err:
            status = 409 if isinstance(err, BusyError) else 400
            return _answer({"error": err.message, "hint": err.hint}, status)
        return _answer(self.words.to_json(), 202)

    async def _watch(self, socket: WebSocket) -> None:
        await self.room.watch(socket, self.state)


@dataclass(frozen=True)
class _Asset:
    content: bytes
    kind: str


def _assets() -> Mapping[str, _Asset]:
    """Return the files of the page by name; no request reads the disk."""
    folder = resources.files("edge_ovss.live.page") / "assets"
    return {
        file.name: _Asset(file.read_bytes(), kind)
        for file in folder.iterdir()
        for suffix, kind in _KINDS.items()
        if file.name.endswith(suffix)
    }


async def _body(request: Request) -> object:
    """Return the JSON body of a request; None if it is none, or too large."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # a form of another site cannot send this kind unasked
        return None
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > largest_body(request.scope["path"]):
            return None
    try:
        found: object = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found


def _answer(document: Mapping[str, object], status: int = 200) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(document, status)
