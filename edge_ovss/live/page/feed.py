"""The newest frames on their way from the loop to the viewers: encoded once, and only if wanted."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from enum import IntEnum

from edge_ovss.live.page.message import Message, Moment, Offer
from edge_ovss.live.sinks import LiveFrame

# Frames that the plot of a new viewer starts with.
_REMEMBERED = 600


class Want(IntEnum):
    """What a viewer asks for; a page that is paused or hidden needs only facts."""

    NOTHING = 0
    FACTS = 1
    FRAME = 2


class _Source:
    """The newest frame of one source, and what of it was delivered."""

    def __init__(self) -> None:
        self.count = 0
        self.offer: Offer | None = None
        self.wanted = Want.NOTHING
        self._done = {Want.FACTS: -1, Want.FRAME: -1}

    def is_due(self) -> bool:
        """Whether something is wanted that was not delivered."""
        if self.offer is None or self.wanted is Want.NOTHING:
            return False
        return self.offer.frame.index > self._done[self.wanted]

    def take(self) -> tuple[Offer | None, Want]:
        """Return the newest frame and what is wanted of it, as from now delivered."""
        what, self.wanted = self.wanted, Want.NOTHING
        for form in (Want.FACTS, Want.FRAME)[: int(what)]:
            if self.offer is not None:
                self._done[form] = self.offer.frame.index
        return self.offer, what


class Feed:
    """Takes frames from the loop at once, and encodes the newest in a thread of its own.

    Args:
        deliver: Takes every message; called in the feed's thread.
        labels: Of the sources; frames of others count as the first one's.
    """

    def __init__(self, deliver: Callable[[Message], None], labels: Sequence[str] = ()) -> None:
        self._deliver = deliver
        self._numbers = {label: number for number, label in enumerate(labels)}
        self._sources = [_Source() for _ in labels or ("",)]
        self._changed = threading.Condition()
        self._newest: LiveFrame | None = None
        self._history: deque[Moment] = deque(maxlen=_REMEMBERED)
        self._closed = False
        self._failure: Exception | None = None
        self.encoded = 0
        self._thread = threading.Thread(target=self._run, name="page-encoder", daemon=True)
        self._thread.start()

    def show(self, frame: LiveFrame, classes: int = 0) -> None:
        """Make a frame the newest of its source; takes microseconds.

        Args:
            frame: The frame.
            classes: Number of what its labels stand for.

        Raises:
            Exception: A frame before it could not be encoded.
        """
        if self._failure is not None:
            raise self._failure
        number = self._numbers.get(frame.source, 0)
        source = self._sources[number]
        with self._changed:
            moment = Moment.of(frame, number, source.count)
            source.count += 1
            source.offer = Offer(frame, moment, classes)
            self._newest = frame
            self._history.append(moment)
            self._changed.notify()

    def want(self, what: Want, source: int = 0) -> None:
        """Ask for the next frame of a source that was not delivered yet in this form."""
        with self._changed:
            wanted = self._sources[source]
            wanted.wanted = max(wanted.wanted, what)
            self._changed.notify()

    def newest(self) -> LiveFrame | None:
        """Return the newest frame of all, if there was one."""
        with self._changed:
            return self._newest

    def history(self) -> list[Moment]:
        """Return the last frames, the oldest first."""
        with self._changed:
            return list(self._history)

    def close(self) -> None:
        """End the thread and let go of the frames."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self._newest = None
        self._sources.clear()

    def _run(self) -> None:
        try:
            while (task := self._next()) is not None:
                offer, what = task
                self.encoded += what is Want.FRAME
                self._deliver(offer.message(seen=what is Want.FRAME))
        except Exception as err:  # the loop is told with the next frame
            self._failure = err

    def _next(self) -> tuple[Offer, Want] | None:
        """Wait for a frame that is wanted; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._due() is not None)
            source = None if self._closed else self._due()
            offer, what = (None, Want.NOTHING) if source is None else source.take()
            return None if offer is None else (offer, what)

    def _due(self) -> _Source | None:
        due = (source for source in self._sources if source.is_due())
        # The one that waits longest: its frame is the oldest.
        return min(due, key=lambda one: one.offer.frame.index if one.offer else 0, default=None)
