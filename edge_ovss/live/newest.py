"""Hand over the newest frame of each source; older ones that nobody took are counted and freed."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Captured:
    """A frame as it was read.

    Attributes:
        source: Number of its source in the run.
        number: Its number among the frames of that source, from 0.
        image: uint8 [H, W, 3], RGB.
        captured_s: When it was read, by the clock of the run.
        unix_s: The same in seconds since 1970.
        time_s: Its time in the stream in seconds; None if unknown.
    """

    source: int
    number: int
    image: NDArray[np.uint8]
    captured_s: float
    unix_s: float
    time_s: float | None = None


class Newest:
    """One place for each source, which holds its newest frame.

    Args:
        sources: Number of sources.

    Attributes:
        dropped: Frames by source that were replaced by a newer one before their turn.
        skipped: Frames by source that nobody wanted: while paused or paced, or left at the end.
    """

    def __init__(self, sources: int) -> None:
        self.dropped = [0] * sources
        self.skipped = [0] * sources
        self._places: list[Captured | None] = [None] * sources
        self._last = sources - 1
        self._holding = False
        self._changed = threading.Condition()

    def put(self, captured: Captured) -> None:
        """Give a frame; it replaces one of the same source that waits."""
        with self._changed:
            if self._places[captured.source] is not None:
                count = self.skipped if self._holding else self.dropped
                count[captured.source] += 1
            self._places[captured.source] = captured
            self._changed.notify_all()

    def skip(self, source: int) -> None:
        """Count a frame that is not wanted."""
        with self._changed:
            self.skipped[source] += 1

    def take(self, wait_s: float) -> Captured | None:
        """Return the newest frame of the next source that has one; None if none came in time.

        Args:
            wait_s: Longest wait in real seconds.
        """
        with self._changed:
            if not any(place is not None for place in self._places):
                self._changed.wait(wait_s)
            count = len(self._places)
            for source in ((self._last + step) % count for step in range(1, count + 1)):
                captured = self._places[source]
                if captured is not None:
                    self._places[source], self._last = None, source
                    return captured
        return None

    def wake(self) -> None:
        """End a wait, because something other than a frame happened."""
        with self._changed:
            self._changed.notify_all()

    @property
    def waiting(self) -> bool:
        """Whether there is a frame to take."""
        with self._changed:
            return any(place is not None for place in self._places)

    def hold(self, on: bool) -> None:
        """Say whether frames are not wanted just now; what is replaced meanwhile is skipped."""
        with self._changed:
            self._holding = on

    def leave_rest(self) -> None:
        """Drop what waits, and count it as skipped."""
        with self._changed:
            for source, captured in enumerate(self._places):
                self.skipped[source] += captured is not None
                self._places[source] = None
