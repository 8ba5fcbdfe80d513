"""The clock of a live run, which tests let go faster; and the pace of --max-fps."""

from __future__ import annotations

import threading
import time


class Clock:
    """Seconds of `time.monotonic`, times a speed that is 1 outside tests.

    Args:
        speed: Seconds of this clock that pass in one real second.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed

    def now(self) -> float:
        """Return the time in seconds."""
        return time.monotonic() * self.speed

    def real(self, seconds: float) -> float:
        """Return how many real seconds `seconds` of this clock take."""
        return max(0.0, seconds) / self.speed

    def sleep(self, seconds: float, until: threading.Event) -> bool:
        """Wait, but not longer than until the event; return whether it came."""
        return until.wait(self.real(seconds))


class Pace:
    """Says when the next frame may be segmented.

    Args:
        max_fps: Most frames per second; None for as many as possible.
    """

    def __init__(self, max_fps: float | None) -> None:
        self._period_s = 0.0 if max_fps is None else 1.0 / max_fps
        self._due_s = 0.0

    def left_s(self, now_s: float) -> float:
        """Return the seconds until then; 0 or less if it may be now."""
        return self._due_s - now_s

    def begin(self, now_s: float) -> None:
        """Note that a frame begins now; if it is late, the next one is not late too."""
        self._due_s = max(self._due_s, now_s - self._period_s) + self._period_s
