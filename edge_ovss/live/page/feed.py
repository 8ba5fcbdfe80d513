"""The newest frame, on its way from the loop to the viewers: encoded once, and only if wanted."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from enum import IntEnum

from edge_ovss.live.page.message import Message, Moment, encode_view, facts_of
from edge_ovss.live.sinks import LiveFrame

# Frames that the plot of a new viewer starts with.
_REMEMBERED = 600


class Want(IntEnum):
    """What a viewer asks for; a page that is paused or hidden needs only facts."""

    NOTHING = 0
    FACTS = 1
    FRAME = 2


class Feed:
    """Takes frames from the loop at once, and encodes the newest in a thread of its own.

    Args:
        deliver: Takes every message; called in the feed's thread.
    """

    def __init__(self, deliver: Callable[[Message], None]) -> None:
        self._deliver = deliver
        self._changed = threading.Condition()
        self._newest: LiveFrame | None = None
        self._history: deque[Moment] = deque(maxlen=_REMEMBERED)
        self._wanted = Want.NOTHING
        self._done = {Want.FACTS: -1, Want.FRAME: -1}
        self._closed = False
        self._failure: Exception | None = None
        self.encoded = 0
        self._thread = threading.Thread(target=self._run, name="page-encoder", daemon=True)
        self._thread.start()

    def show(self, frame: LiveFrame) -> None:
        """Make a frame the newest; takes microseconds.

        Raises:
            Exception: A frame before it could not be encoded.
        """
        if self._failure is not None:
            raise self._failure
        with self._changed:
            self._newest = frame
            self._history.append(Moment.of(frame))
            self._changed.notify()

    def want(self, what: Want) -> None:
        """Ask for the next frame that was not delivered yet in this form."""
        with self._changed:
            self._wanted = max(self._wanted, what)
            self._changed.notify()

    def newest(self) -> LiveFrame | None:
        """Return the newest frame, if there was one."""
        with self._changed:
            return self._newest

    def history(self) -> list[Moment]:
        """Return the last frames, the oldest first."""
        with self._changed:
            return list(self._history)

    def close(self) -> None:
        """End the thread and let go of the frame."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self._newest = None

    def _run(self) -> None:
        try:
            while (task := self._next()) is not None:
                self._deliver(self._message(*task))
        except Exception as err:  # the loop is told with the next frame
            self._failure = err

    def _next(self) -> tuple[LiveFrame, Want] | None:
        """Wait for a frame that is wanted; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._is_due())
            if self._closed or self._newest is None:
                return None
            what, self._wanted = self._wanted, Want.NOTHING
            for form in (Want.FACTS, Want.FRAME)[: int(what)]:
                self._done[form] = self._newest.index
            return self._newest, what

    def _is_due(self) -> bool:
        if self._newest is None or self._wanted is Want.NOTHING:
            return False
        return self._newest.index > self._done[self._wanted]

    def _message(self, frame: LiveFrame, what: Want) -> Message:
        if what is not Want.FRAME:
            return Message(frame.index, facts_of(frame))
        self.encoded += 1
        view = encode_view(frame.frame, frame.result.labels)
        return Message(frame.index, facts_of(frame), view)
