"""The clock of a live run; tests let it go faster."""

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
