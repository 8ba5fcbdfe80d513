"""Say when a camera sends nothing, and when it sends again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_ovss.errors import InputError
from edge_ovss.live.clock import Clock
from edge_ovss.live.grabber import Grabber

SHORTEST_STALL_S = 2.0
_USUAL_GAPS = 10
_SLACK_S = 2.0


class Watchdog:
    """Looks at the cameras from time to time.

    Args:
        grabbers: The threads that read them.
        clock: The clock of the run.
        timeout_s: Longest wait for the first frame.
        warn: Is told of every stall once, and of its end.

    Attributes:
        stalls: How often a camera has stalled.
    """

    def __init__(
        self,
        grabbers: Sequence[Grabber],
        clock: Clock,
        timeout_s: float,
        warn: Callable[[str], None],
    ) -> None:
        self.stalls = 0
        self._grabbers, self._clock, self._timeout_s, self._warn = grabbers, clock, timeout_s, warn
        self._silent_since: dict[int, float] = {}
        self._ended: set[int] = set()

    def check(self) -> None:
        """Look at all cameras.

        Raises:
            InputError: One has not sent its first frame in time.
        """
        for grabber in self._grabbers:
            silent_s = self._clock.now() - grabber.heard_s
            if not grabber.is_alive() or grabber.trying:
                self._silent_since.pop(grabber.number, None)  # the loss has been said
                self._tell_of_end(grabber)
            elif not grabber.read:
                self._check_first(grabber, silent_s)
            else:
                self._check_next(grabber, silent_s)

    def _tell_of_end(self, grabber: Grabber) -> None:
        """Say that one of several cameras is lost for good; the end of the last ends the run."""
        others = any(other.is_alive() for other in self._grabbers)
        if grabber.failed and others and grabber.number not in self._ended:
            self._ended.add(grabber.number)
            self._warn(f"{grabber.failed.message} The other sources go on")

    def _check_first(self, grabber: Grabber, silent_s: float) -> None:
        # Opening has the same limit of its own, and its message says more.
        if silent_s > self._timeout_s + _SLACK_S:
            label = grabber.source.label
            message = f"Video source '{label}' has sent nothing for {silent_s:.0f} s."
            hint = "Check that it is switched on and sends frames, or raise --timeout."
            raise InputError(message, hint=hint)

    def _check_next(self, grabber: Grabber, silent_s: float) -> None:
        since = self._silent_since.get(grabber.number)
        limit = max(SHORTEST_STALL_S, _USUAL_GAPS * grabber.interval_s)
        if since is None and silent_s > limit:
            self.stalls += 1
            self._silent_since[grabber.number] = grabber.heard_s
            self._warn(f"{grabber.source.label} stalls: nothing has come for {silent_s:.1f} s")
        elif since is not None and grabber.heard_s > since:
            del self._silent_since[grabber.number]
            self._warn(f"{grabber.source.label} sends again after {grabber.heard_s - since:.1f} s")
