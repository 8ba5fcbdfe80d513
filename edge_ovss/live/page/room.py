"""Everybody who watches: each is sent the newest frame when it asks, and never more than one.

A viewer asks again once it has drawn what it got. So a slow one skips frames instead of lagging,
and at most one frame per viewer is on its way. One that no longer takes frames is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from edge_ovss.live.page.feed import Want
from edge_ovss.live.page.message import Message

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

MOST_VIEWERS = 32
# Seconds that a viewer may take for what it was sent.
PATIENCE_S = 15.0
# Seconds without any question after which nobody is there.
SILENCE_S = 60.0
_MOST_NOTICES = 64
_ASKS = {"frame": Want.FRAME, "facts": Want.FACTS}
# "frame" or "facts", and the number of the source if it is not the first.
_QUESTION = re.compile(r"(frame|facts)(?: ([0-9]{1,4}))?")

CODE_WRONG, CODE_FULL, CODE_SLOW = 1008, 1013, 4408


class Wire(Protocol):
    """What the room needs of a WebSocket."""

    async def send_bytes(self, data: bytes) -> None:
        """Send a message of bytes."""

    async def send_text(self, data: str) -> None:
        """Send a message of text."""

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """End the connection."""


class Viewer:
    """One viewer; used in the server's thread only."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.wants = Want.NOTHING
        self.source = 0
        self.wake = asyncio.Event()
        self.notices: deque[str] = deque(maxlen=_MOST_NOTICES)
        self._seen = (-1, False)

    def ask(self, what: Want, source: int) -> None:
        """Take a question."""
        if source != self.source:
            self._seen = (-1, False)
        self.wants, self.source = what, source
        self.wake.set()

    def takes(self, message: Message) -> bool:
        """Whether a message answers what the viewer asked for."""
        if self.wants is Want.NOTHING or message.source != self.source:
            return False
        enough = message.view is not None or self.wants is Want.FACTS
        form = (message.number, self.wants is Want.FRAME)
        return enough and form > self._seen

    async def send(self, message: Message) -> None:
        """Send a message in the form that was asked for."""
        whole = self.wants is Want.FRAME
        self.wants = Want.NOTHING
        self._seen = (message.number, whole)
        await self.wire.send_bytes(message.with_view if whole else message.facts_alone)


class Room:
    """All viewers. `publish` and `tell` may be called from any thread, the rest in the server's."""

    def __init__(
        self,
        want: Callable[[Want, int], None],
        *,
        sources: int = 1,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._want = want
        self._sources = sources
        self._patience_s = patience_s
        self._viewers: set[Viewer] = set()
        self._latest: dict[int, Message] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        return len(self._viewers)

    def publish(self, message: Message) -> None:
        """Offer a frame to all who wait for one."""
        self._in_loop(self._take, message)

    def tell(self, notice: Mapping[str, object]) -> None:
        """Send a notice (JSON types only) to all viewers."""
        self._in_loop(self._spread, json.dumps(notice, ensure_ascii=False))

    async def watch(self, socket: WebSocket, hello: Callable[[], Mapping[str, object]]) -> None:
        """Serve one viewer until it leaves or is dropped."""
        await socket.accept()
        if len(self._viewers) >= MOST_VIEWERS:
            await socket.close(CODE_FULL, f"All {MOST_VIEWERS} places for viewers are taken.")
            return
        self._loop = asyncio.get_running_loop()
        viewer = Viewer(socket)
        viewer.notices.append(json.dumps(hello(), ensure_ascii=False))
        viewer.wake.set()
        self._viewers.add(viewer)
        parts = (self._serve(viewer), self._listen(viewer, socket))
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._viewers.discard(viewer)
            if not self._viewers:  # who comes next must not start with an old frame
                self._latest.clear()
            await _ended(tasks)

    async def _listen(self, viewer: Viewer, socket: WebSocket) -> None:
        """Take the viewer's questions until it leaves."""
        from starlette.websockets import WebSocketDisconnect

        with contextlib.suppress(WebSocketDisconnect):
            while True:
                try:
                    text = await asyncio.wait_for(socket.receive_text(), SILENCE_S)
                except asyncio.TimeoutError:
                    if viewer.wants is not Want.NOTHING:
                        continue  # it waits for us, as when the camera stalls
                    await _drop(viewer, CODE_SLOW, "The viewer no longer asks for frames.")
                    return
                except KeyError:  # a message of bytes
                    text = ""
                asked = _QUESTION.fullmatch(text)
                if asked is None or int(asked[2] or 0) >= self._sources:
                    await _drop(viewer, CODE_WRONG, f"Expected one of {', '.join(_ASKS)}.")
                    return
                viewer.ask(_ASKS[asked[1]], int(asked[2] or 0))

    async def _serve(self, viewer: Viewer) -> None:
        """Send notices and, when asked, the newest frame."""
        from starlette.websockets import WebSocketDisconnect

        while True:
            await viewer.wake.wait()
            viewer.wake.clear()
            try:
                await asyncio.wait_for(self._answer(viewer), self._patience_s)
            except asyncio.TimeoutError:
                await _drop(viewer, CODE_SLOW, "The connection is too slow.")
                return
            except (WebSocketDisconnect, OSError, RuntimeError):  # the other side is gone
                return

    async def _answer(self, viewer: Viewer) -> None:
        while viewer.notices:
            await viewer.wire.send_text(viewer.notices.popleft())
        latest = self._latest.get(viewer.source)
        if latest is not None and viewer.takes(latest):
            await viewer.send(latest)
        elif viewer.wants is not Want.NOTHING:
            self._want(viewer.wants, viewer.source)

    def _in_loop(self, call: Callable[..., None], *given: object) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the server has ended
                self._loop.call_soon_threadsafe(call, *given)

    def _take(self, message: Message) -> None:
        self._latest[message.source] = message
        for viewer in self._viewers:
            if viewer.wants is not Want.NOTHING and viewer.source == message.source:
                viewer.wake.set()

    def _spread(self, notice: str) -> None:
        for viewer in self._viewers:
            viewer.notices.append(notice)
            viewer.wake.set()


async def _drop(viewer: Viewer, code: int, reason: str) -> None:
    """Close a connection without waiting for it."""
    with contextlib.suppress(Exception):
        await asyncio.wait_for(viewer.wire.close(code, reason), 1.0)


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    # Who cancels this meanwhile gets its own cancellation back, which gather() would replace.
    await asyncio.wait(tasks)
    for task in tasks:
        err = None if task.cancelled() else task.exception()
        if err is not None:
            raise err
