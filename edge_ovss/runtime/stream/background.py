"""A network in a thread of its own: every frame is answered at once, from what is known."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass

from edge_ovss.motion.dis import DEFAULT_FLOW, FlowSource
from edge_ovss.motion.following import Following
from edge_ovss.motion.vectors import Labels
from edge_ovss.runtime.stream.counter import LabelCounter
from edge_ovss.runtime.stream.stabilizer import Frame, Segment, Step, StreamMemory
from edge_ovss.runtime.stream.timing import HOLD_MS, StreamClock


@dataclass
class _Pending:
    """A frame that the network is looking at.

    Attributes:
        answer: Its labels, when they are there.
        counter: What was known at that frame.
        motion: Where its pixels were in the frame before it.
        time_s: When the frame was taken.
        sources: Where the pixels of the newest frame were in it; None while it is the newest.
    """

    answer: Future[Labels]
    counter: LabelCounter
    motion: Following
    time_s: float | None
    sources: Following | None = None


class BackgroundStabilizer(StreamMemory):
    """Answers every frame from the network's last answer, moved along; for one thread.

    The network always looks at the newest frame, in its own thread. A frame takes the time of the
    flow; only the first frame, a new size and a cut wait for the network, because there is nothing
    to go on from. What is shown is as old as one inference and one frame at most. Close it.

    Args:
        segment: Returns the network's labels of a frame; always called from one thread.
        hold_ms: As for `Stabilizer`.
        flow: As for `Stabilizer`.
        executor: Runs `segment`; None for a thread of its own.
    """

    def __init__(
        self,
        segment: Segment,
        *,
        hold_ms: float | None = HOLD_MS,
        flow: str | FlowSource = DEFAULT_FLOW,
        executor: Executor | None = None,
    ) -> None:
        super().__init__(StreamClock(hold_ms), flow)
        self._segment = segment
        self._pending: _Pending | None = None
        self._executor = executor or ThreadPoolExecutor(1, thread_name_prefix="edge-ovss-network")

    def step(self, frame: Frame, *, time_s: float | None = None) -> Step:
        """Take the next frame, and return what to show for it.

        Args:
            frame: uint8 [H, W, 3], RGB; must not change afterwards, since the network may still
                look at it.
            time_s: When it was taken, in seconds of any clock that does not go back.

        Raises:
            InputError: Time goes back, or the motion does not fit the frame.
            EdgeOvssError: The network failed on this frame or one before.
        """
        sources, cut = self._advance(frame, time_s)
        if sources is None:
            return self._start(frame, time_s, cut=cut)
        self._counter.follow(sources)
        key, held = self._take(sources)
        if self._pending is None:
            self._ask(frame, sources, time_s)
        return Step(self._counter.labels, key, False, held, self._clock.age_ms)

    def _start(self, frame: Frame, time_s: float | None, *, cut: bool) -> Step:
        """Wait for the network, since nothing that is known belongs to this frame."""
        if self._pending is not None:
            self._pending.answer.result()
            self._pending = None
        return self._begin(self._executor.submit(self._segment, frame).result(), time_s, cut=cut)

    def _take(self, sources: Following) -> tuple[bool, float]:
        """Move along what is pending; take its answer if it is there."""
        pending = self._pending
        if pending is None:
            return False, 0.0
        before = pending.sources
        pending.sources = sources if before is None else before.then(sources)
        if not pending.answer.done():
            return False, 0.0
        self._pending = None
        self._clock.saw(pending.time_s)
        held = pending.counter.count(pending.answer.result(), self._clock.cap, pending.motion)
        pending.counter.follow(pending.sources)
        self._counter = pending.counter
        return True, held

    def _ask(self, frame: Frame, sources: Following, time_s: float | None) -> None:
        answer = self._executor.submit(self._segment, frame)
        self._pending = _Pending(answer, self._counter.copied(), sources, time_s)

    def close(self) -> None:
        """Wait for the network, and end its thread; calling it twice does no harm."""
        self._executor.shutdown(wait=True)

    def __enter__(self) -> BackgroundStabilizer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
