"""The live loop: the newest frame is segmented while others are read and drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ovss.errors import EdgeOvssError
from edge_ovss.frames.sources import Frame
from edge_ovss.live.clock import Clock, Pace
from edge_ovss.live.grabber import Grabber, LiveSource
from edge_ovss.live.newest import Captured, Newest
from edge_ovss.live.shower import Shower
from edge_ovss.live.sinks import Listens, LiveFrame, Settings, Sink, asked_settings
from edge_ovss.live.summary import LiveSummary, SourceFacts
from edge_ovss.live.watchdog import Watchdog
from edge_ovss.runtime.result import Result
from edge_ovss.runtime.result_writer import frame_facts

_TICK_S = 0.1
_GOODBYE_S = 1.0


@dataclass(frozen=True)
class LiveOptions:
    """How to run.

    Attributes:
        limit: End after so many segmented frames; None for no limit.
        duration_s: End after so many seconds; None for no end.
        every: Use every N-th frame of each source.
        max_fps: Segment at most so many frames per second; None for as many as possible.
        timeout_s: Longest wait for a source to open, and for its first frame.
        reconnect_s: How long to try to open a lost source again.
    """

    limit: int | None = None
    duration_s: float | None = None
    every: int = 1
    max_fps: float | None = None
    timeout_s: float = 10.0
    reconnect_s: float = 300.0


class Segment(Protocol):
    """Segments a frame of a source."""

    def __call__(self, image: NDArray[np.uint8], /, *, time_s: float, source: str) -> Result:
        """Return the result for a frame, uint8 [H, W, 3] RGB."""


def _labels_age_ms(result: Result) -> float:
    """Milliseconds from the newest frame that the network saw to this one."""
    return 0.0 if result.stream is None else result.stream.age_ms or 0.0


class LiveRun:
    """One run over live sources; `run` once, then read `summary`.

    Args:
        sources: The cameras, served in turn.
        segment: Segments a frame, with the time it was read at, in seconds of the run's clock, and
            its source; called in the thread that calls `run`.
        sinks: The views; closed at the end.
        options: How to run.
        warn: Is told of losses and stalls, from any thread.
        on_settings: Is told what the views ask for, whenever that changes.
        clock: Another clock, for tests.
    """

    def __init__(
        self,
        sources: Sequence[LiveSource],
        segment: Segment,
        sinks: Sequence[Sink],
        options: LiveOptions,
        *,
        warn: Callable[[str], None],
        on_settings: Callable[[Settings], None] = lambda _: None,
        clock: Clock | None = None,
    ) -> None:
        self.summary = LiveSummary()
        self._segment, self._sinks, self._options = segment, sinks, options
        self._warn, self._on_settings = warn, on_settings
        self._clock = clock or Clock()
        self._newest = Newest(len(sources))
        self._segmented = [0] * len(sources)
        self._settings = Settings()
        self._pace = Pace(options.max_fps)
        self._shower = Shower(sinks, self._was_shown)
        self._grabbers = [
            Grabber(
                number,
                source,
                self._newest,
                self._clock,
                reconnect_s=options.reconnect_s,
                every=options.every,
                warn=self._tell,
            )
            for number, source in enumerate(sources)
        ]
        self._watchdog = Watchdog(self._grabbers, self._clock, options.timeout_s, self._tell)

    def run(self, check: Callable[[], None]) -> None:
        """Run until the end of all sources, the limit, or the duration.

        Args:
            check: Called between frames; what it raises ends the run cleanly.

        Raises:
            EdgeOvssError: A source was lost for good, or a view or the segmenter failed.
        """
        start_s = self._clock.now()
        for thread in (self._shower, *self._grabbers):
            thread.start()
        try:
            while not self._is_over(start_s):
                check()
                self._step()
        finally:
            self._end(start_s)
        self._raise_lost()

    def _is_over(self, start_s: float) -> bool:
        options, done = self._options, sum(self._segmented)
        if self._settings.stop or (options.limit is not None and done >= options.limit):
            return True
        gone = self._clock.now() - start_s
        if options.duration_s is not None and gone >= options.duration_s:
            return True
        ended = not any(grabber.is_alive() for grabber in self._grabbers)
        return (ended and not self._newest.waiting) or self._failed_at_first() is not None

    def _failed_at_first(self) -> EdgeOvssError | None:
        """Return why a source could not be used from the beginning, which ends the run."""
        failed = (grabber.failed for grabber in self._grabbers if not grabber.read)
        return next((err for err in failed if err is not None), None)

    def _step(self) -> None:
        self._watchdog.check()
        self._heed()
        left_s = self._pace.left_s(self._clock.now())
        wait_s = _TICK_S if self._settings.paused else self._clock.real(left_s)
        self._newest.hold(wait_s > 0)
        if wait_s > 0:
            self._shower.join(min(_TICK_S, wait_s))  # wakes if the views fail
            self._shower.free(0.0)
            return
        # Only when the views are ready: a frame that waits for them would grow old.
        if not self._shower.free(_TICK_S):
            return
        captured = self._newest.take(_TICK_S)
        if captured is not None:
            self._handle(captured)

    def _heed(self) -> None:
        """Tell the caller what the views ask for, if that has changed."""
        asked = asked_settings(self._sinks)
        if asked != self._settings:
            self._settings = asked
            self._on_settings(asked)

    def _handle(self, captured: Captured) -> None:
        start_s = self._clock.now()
        self._pace.begin(start_s)
        source = self._grabbers[captured.source].source.label
        result = self._segment(captured.image, time_s=captured.captured_s, source=source)
        self.summary.latency.add(self._clock.now() - start_s)
        index = sum(self._segmented)
        self._segmented[captured.source] += 1
        self._shower.give(lambda: self._live_frame(index, captured, result))

    def _live_frame(self, index: int, captured: Captured, result: Result) -> LiveFrame:
        source = self._grabbers[captured.source].source
        name = f"{source.stem}-{captured.number:06d}"
        origin = f"{source.label} #{captured.number}"
        frame = Frame(name, origin, lambda: captured.image, captured.time_s)
        shown_s, dropped = self._clock.now(), sum(self._newest.dropped)
        facts = frame_facts(frame, result) | {
            "index": index,
            "unix_s": round(captured.unix_s, 6),
            "age_ms": round(1000 * (shown_s - captured.captured_s) + _labels_age_ms(result), 3),
            "dropped": dropped,
        }
        return LiveFrame(
            index,
            source.label,
            captured.image,
            result,
            captured.captured_s,
            shown_s,
            dropped,
            facts,
            captured.time_s,
        )

    def _was_shown(self, frame: LiveFrame) -> None:
        self.summary.age.add(self._clock.now() - frame.captured_s)

    def _tell(self, text: str) -> None:
        self._warn(text)
        for sink in self._sinks:
            if isinstance(sink, Listens):
                sink.warn(text)

    def _end(self, start_s: float) -> None:
        for grabber in self._grabbers:
            grabber.stop()
        for grabber in self._grabbers:  # one may hang in a driver; it must not keep us
            grabber.join(_GOODBYE_S)
        self._newest.leave_rest()
        try:
            self._shower.finish()
        finally:
            self.summary.seconds = self._clock.now() - start_s
            self.summary.stalls = self._watchdog.stalls
            self.summary.sources = [self._facts(grabber) for grabber in self._grabbers]

    def _facts(self, grabber: Grabber) -> SourceFacts:
        number = grabber.number
        return SourceFacts(
            grabber.source.label,
            grabber.read,
            self._segmented[number],
            self._newest.dropped[number],
            self._newest.skipped[number],
            grabber.reconnects,
            None if grabber.failed is None else grabber.failed.message,
        )

    def _raise_lost(self) -> None:
        lost = next((grabber.failed for grabber in self._grabbers if grabber.failed), None)
        failed = self._failed_at_first() or lost
        if failed is not None:
            raise failed
