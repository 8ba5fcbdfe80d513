"""When the frames of a stream were taken: the rate of inferences, and the age of what is shown."""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from statistics import median

from edge_ovss.errors import InputError, UsageError
from edge_ovss.runtime.stream.counter import cap_of

HOLD_MS = 150.0
"""How long a label is held against the network unless the user says otherwise."""
LONGEST_HOLD_MS = 10_000.0
USUAL_FPS = 15.0
"""The rate that is assumed for frames without a time."""
_KEPT = 10


def check_hold(hold_ms: float) -> float:
    """Return the time for which labels are held, if it is one.

    Raises:
        UsageError: It is not above 0, or longer than ten seconds.
    """
    if not 0.0 < hold_ms <= LONGEST_HOLD_MS:
        message = (
            f"Labels are to be held for {hold_ms:g} ms; expected more than 0 and at most "
            f"{LONGEST_HOLD_MS:g}."
        )
        raise UsageError(message, hint=f"{HOLD_MS:g} is the usual value.")
    return hold_ms


def check_keyframe(every: int) -> int:
    """Return N of "the network sees every N-th frame", if it is one.

    Raises:
        UsageError: It is below 1.
    """
    if every < 1:
        message = f"Every {every}th frame is to be a key frame; expected 1 or more."
        raise UsageError(message, hint="1: the network sees every frame; 2: every second one.")
    return every


class StreamClock:
    """Takes the times of frames, and of those that the network saw.

    Args:
        hold_ms: How long a label is held; None: the network is always right.
        every: How many frames there are for each inference, where no times say so.
    """

    def __init__(self, hold_ms: float | None, every: int = 1) -> None:
        self._hold = None if hold_ms is None else check_hold(hold_ms)
        self._every = every
        self._now: float | None = None
        self._seen: deque[float] = deque(maxlen=_KEPT)
        self._newest: float | None = None

    def restarted(self) -> StreamClock:
        """Return a clock for a new stream, which knows no time yet."""
        return StreamClock(self._hold, self._every)

    def tick(self, time_s: float | None) -> None:
        """Take the time of the next frame, in seconds of any clock; None if it has none.

        Raises:
            InputError: It is earlier than that of the frame before, or not finite.
        """
        if time_s is not None and not math.isfinite(time_s):
            message = f"A frame has the time {time_s}; expected seconds."
            raise InputError(message)
        if time_s is not None and self._now is not None and time_s < self._now:
            message = f"Time goes back, from {self._now:.3f} s to {time_s:.3f} s."
            hint = "Give frames in the order they were taken; start a new stream after a jump."
            raise InputError(message, hint=hint)
        self._now = time_s if time_s is not None else self._now
        if time_s is None:
            self._newest = None

    def saw(self, time_s: float | None) -> None:
        """Note that the network saw the frame of this time."""
        self._newest = time_s
        if time_s is not None and (not self._seen or time_s > self._seen[-1]):
            self._seen.append(time_s)

    @property
    def now(self) -> float | None:
        """The time of the newest frame that had one, in seconds."""
        return self._now

    @property
    def age_ms(self) -> float | None:
        """Milliseconds from the newest frame that the network saw to this one; None if unknown."""
        if self._newest is None or self._now is None:
            return None
        return 1000.0 * (self._now - self._newest)

    @property
    def cap(self) -> int:
        """The largest count of the label counter now."""
        if self._hold is None:
            return 1
        gaps = [after - before for before, after in pairwise(self._seen)]
        rate = 1.0 / median(gaps) if gaps else USUAL_FPS / self._every
        return cap_of(self._hold, rate)
