"""The views of a run over recordings: every frame is shown, in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from edge_ovss.frames.sources import Frame
from edge_ovss.live.clock import Pace
from edge_ovss.live.sinks import LiveFrame, Settings, Sink, asked_settings, close_all
from edge_ovss.runtime.result import Result

_TICK_S = 0.05


class OrderedViews:
    """Shows frames one after the other, waits while a view pauses, and paces them.

    Args:
        sinks: The views.
        on_settings: Is told what the views ask for, whenever that changes.
        max_fps: Most frames per second; None for as many as possible.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        on_settings: Callable[[Settings], None],
        max_fps: float | None = None,
    ) -> None:
        self._sinks, self._on_settings = sinks, on_settings
        self._pace = Pace(max_fps)
        self._settings, self._index = Settings(), 0

    def ready(self, check: Callable[[], None]) -> bool:
        """Wait until the next frame is wanted; return whether any is.

        Args:
            check: Called while waiting; what it raises ends the wait.
        """
        while True:
            check()
            asked = asked_settings(self._sinks)
            if asked != self._settings:
                self._settings = asked
                self._on_settings(asked)
            wait_s = self._pace.left_s(time.monotonic())
            if asked.stop:
                return False
            if not asked.paused and wait_s <= 0:
                self._pace.begin(time.monotonic())
                return True
            time.sleep(_TICK_S if asked.paused else min(_TICK_S, wait_s))

    def show(
        self, frame: Frame, result: Result, facts: Mapping[str, object], captured_s: float
    ) -> None:
        """Show a result to all views.

        Args:
            frame: The frame, already read.
            result: Its result.
            facts: What is written about it.
            captured_s: When it was read, by `time.monotonic`.
        """
        source = frame.origin.rpartition(" #")[0] or frame.origin
        index, self._index = self._index, self._index + 1
        if not self._sinks:
            return
        now = time.monotonic()
        more = {"index": index, "age_ms": round(1000 * (now - captured_s), 3), "dropped": 0}
        shown = LiveFrame(
            index,
            source,
            frame.image,
            result,
            captured_s,
            now,
            0,
            {**more, **facts},  # a stream says the age of its labels itself
            frame.time_s,
            frame.stamp,
        )
        for sink in self._sinks:
            sink.show(shown)

    def close(self) -> None:
        """Close all views, whatever happens.

        Raises:
            Exception: The first error of closing one.
        """
        close_all(self._sinks)
