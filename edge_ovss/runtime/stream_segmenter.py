"""Segment frames that follow each other: a segmenter with memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge_ovss.errors import InputError
from edge_ovss.motion.dis import DEFAULT_FLOW
from edge_ovss.motion.stored import is_stored
from edge_ovss.runtime.result import Result, StreamFacts, check_frame
from edge_ovss.runtime.stream.background import BackgroundStabilizer
from edge_ovss.runtime.stream.stabilizer import Stabilizer, Step
from edge_ovss.runtime.stream.timing import HOLD_MS

Segment = Callable[[NDArray[np.uint8]], Result]


@dataclass(frozen=True)
class StreamOptions:
    """How a stream is answered.

    Attributes:
        hold_ms: How long a label is held against the network, above 0; None: not at all.
        keyframe: The network sees every `keyframe`-th frame; None: it runs in its own thread, on
            the newest frame.
        flow: How labels move: a name that `open_flow` takes.
    """

    hold_ms: float | None = HOLD_MS
    keyframe: int | None = 1
    flow: str = DEFAULT_FLOW


class StreamSegmenter:
    """Segments streams with one segmenter: labels do not flicker, some frames need no network.

        with Segmenter.open("city.ovss") as segmenter, StreamSegmenter(segmenter.segment) as stream:
            for frame in frames:
                result = stream.segment(frame.image, time_s=frame.time_s)

    For one thread. Each source is a stream of its own.

    Args:
        segment: Segments a frame, as `Segmenter.segment`; called for key frames only, and with
            `keyframe=None` from another thread.
        options: How streams are answered.

    Raises:
        UsageError: An option is out of range.
        InputError: The file of the motion cannot be used.
    """

    def __init__(self, segment: Segment, options: StreamOptions | None = None) -> None:
        self._segment, self._options = segment, options or StreamOptions()
        self._streams: dict[str, _Stream] = {}
        # One thread for all sources: a segmenter is not for several.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="edge-ovss-network")
        self._stream("")  # wrong options are refused here, not at the first frame

    def segment(
        self, frame: NDArray[np.uint8], *, time_s: float | None = None, source: str = ""
    ) -> Result:
        """Return the labels of the next frame of a stream.

        Its `stream` says whether the network saw it. Where it did not, `alive`, `counts` and the
        like are those of the last frame that it saw, and there is no confidence and no scores.

        Args:
            frame: uint8 [H, W, 3], RGB.
            time_s: When it was taken, in seconds of a clock that does not go back; None: unknown.
            source: Which stream it belongs to.

        Raises:
            InputError: Time goes back, or the file of the motion ends or is that of another video.
            PictureError: The frame has the wrong form.
            ArtifactError: The graph fails, or memory runs out.
        """
        start = time.perf_counter()
        result, step = self._answer(check_frame(frame), time_s, source)
        total = 1e3 * (time.perf_counter() - start)
        facts = StreamFacts(step.key, step.age_ms, step.held, step.cut)
        # What a network in its own thread says is of an earlier frame, but at a beginning.
        own = step.key and self._options.keyframe is not None
        infer = result.timings["infer"] if own else 0.0
        return replace(
            result,
            labels=step.labels,
            timings={"infer": infer, "total": total},
            confidence=result.confidence if own else None,
            scores=result.scores if own else None,
            stream=facts,
        )

    def warnings(self) -> Iterator[str]:
        """Yield a sentence for each source whose frames have nothing in common."""
        for name, stream in self._streams.items():
            if stream.scenes.unrelated:
                yield f"{name}: {stream.scenes.warning()}" if name else stream.scenes.warning()

    def _answer(
        self, frame: NDArray[np.uint8], time_s: float | None, source: str
    ) -> tuple[Result, Step]:
        while True:
            stream = self._stream(source)
            result, step = stream.answer(frame, time_s)
            if result.names == stream.names:
                return result, step
            # Other words: what is remembered has numbers that name something else now.
            del self._streams[source]

    def _stream(self, source: str) -> _Stream:
        if source not in self._streams:
            # The first stream has no name: it is there to refuse wrong options.
            if is_stored(self._options.flow) and len(self._streams) > 1:
                message = (
                    f"Flow '{self._options.flow}' is that of one video; '{source}' is another."
                )
                raise InputError(message, hint="Run one video at a time with its own file.")
            self._streams[source] = _Stream(self._segment, self._options, self._thread)
        return self._streams[source]

    def close(self) -> None:
        """Wait for the network, if it runs in its own thread; calling it twice does no harm."""
        self._thread.shutdown(wait=True)

    def __enter__(self) -> StreamSegmenter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Stream:
    """One source: its memory, and the last result of the network.

    Attributes:
        names: The names of the first answer of the network: those of all that is remembered. The
            last answer may have others, whether its labels have been taken yet or not.
    """

    def __init__(self, segment: Segment, options: StreamOptions, thread: Executor) -> None:
        self._segment = segment
        self.names: tuple[str, ...] | None = None
        self._last: Result | None = None
        self._step: Callable[..., Step]
        hold_ms, flow = options.hold_ms, options.flow
        if options.keyframe is None:
            late = BackgroundStabilizer(self._labels, hold_ms=hold_ms, flow=flow, executor=thread)
            self.scenes, self._step = late.scenes, late.step
        else:
            waiting = Stabilizer(hold_ms=hold_ms, keyframe=options.keyframe, flow=flow)
            self.scenes, self._step = waiting.scenes, partial(waiting.step, segment=self._labels)

    def answer(self, frame: NDArray[np.uint8], time_s: float | None) -> tuple[Result, Step]:
        step = self._step(frame, time_s=time_s)
        assert self._last is not None  # the first frame waits for the network
        return self._last, step

    def _labels(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8] | NDArray[np.uint16]:
        result = self._segment(frame)
        self.names = self.names or result.names
        self._last = result
        return result.labels
