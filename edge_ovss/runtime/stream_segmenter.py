"""Segment frames that follow each other: a segmenter with memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_ovss.motion.dis import DEFAULT_FLOW
from edge_ovss.runtime.result import Result, StreamFacts, check_frame
from edge_ovss.runtime.stream.background import BackgroundStabilizer
from edge_ovss.runtime.stream.stabilizer import Scenes, Stabilizer, Step
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
    """

    def __init__(self, segment: Segment, options: StreamOptions | None = None) -> None:
        self._segment, self._options = segment, options or StreamOptions()
        self._streams: dict[str, _Watched | _Late] = {}
        # One thread for all sources: a segmenter is not for several.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="edge-ovss-network")
        self._stream("")  # wrong options are refused here, not at the first frame
        self._streams.clear()

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
            InputError: Time goes back.
            PictureError: The frame has the wrong form.
            ArtifactError: The graph fails, or memory runs out.
        """
        start = time.perf_counter()
        stream = self._streams.get(source) or self._stream(source)
        result, step = stream.answer(check_frame(frame), time_s)
        total = 1e3 * (time.perf_counter() - start)
        facts = StreamFacts(step.key, step.age_ms, step.held, step.cut)
        infer = result.timings["infer"] if step.key and not stream.late else 0.0
        return replace(
            result,
            labels=step.labels,
            timings={"infer": infer, "total": total},
            confidence=result.confidence if step.key and not stream.late else None,
            scores=result.scores if step.key and not stream.late else None,
            stream=facts,
        )

    def warnings(self) -> Iterator[str]:
        """Yield a sentence for each source whose frames have nothing in common."""
        for name, stream in self._streams.items():
            if stream.scenes.unrelated:
                yield f"{name}: {stream.scenes.warning()}" if name else stream.scenes.warning()

    def _stream(self, source: str) -> _Watched | _Late:
        found: _Watched | _Late
        if self._options.keyframe is None:
            found = _Late(self._segment, self._options, self._thread)
        else:
            found = _Watched(self._segment, self._options)
        self._streams[source] = found
        return found

    def close(self) -> None:
        """Wait for the network, if it runs in its own thread; calling it twice does no harm."""
        self._thread.shutdown(wait=True)

    def __enter__(self) -> StreamSegmenter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Watched:
    """A stream whose key frames wait for the network."""

    late = False

    def __init__(self, segment: Segment, options: StreamOptions) -> None:
        self._segment = segment
        every = 1 if options.keyframe is None else options.keyframe
        self._stabilizer = Stabilizer(hold_ms=options.hold_ms, keyframe=every, flow=options.flow)
        self._last: Result | None = None

    @property
    def scenes(self) -> Scenes:
        return self._stabilizer.scenes

    def answer(self, frame: NDArray[np.uint8], time_s: float | None) -> tuple[Result, Step]:
        step = self._stabilizer.step(frame, self._labels, time_s=time_s)
        assert self._last is not None  # the first frame is a key frame
        return self._last, step

    def _labels(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8] | NDArray[np.uint16]:
        self._last = self._segment(frame)
        return self._last.labels


class _Late:
    """A stream whose network runs in its own thread."""

    late = True

    def __init__(self, segment: Segment, options: StreamOptions, thread: Executor) -> None:
        self._segment = segment
        self._stabilizer = BackgroundStabilizer(
            self._labels, hold_ms=options.hold_ms, flow=options.flow, executor=thread
        )
        self._last: Result | None = None

    @property
    def scenes(self) -> Scenes:
        return self._stabilizer.scenes

    def answer(self, frame: NDArray[np.uint8], time_s: float | None) -> tuple[Result, Step]:
        step = self._stabilizer.step(frame, time_s=time_s)
        assert self._last is not None  # the first frame waits for the network
        return self._last, step

    def _labels(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8] | NDArray[np.uint16]:
        result = self._segment(frame)
        self._last = result
        return result.labels
