"""How `run` answers frames: each by itself, or as streams with memory."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ovss.cli.shared.console import Console
from edge_ovss.cli.shared.stream_options import (
    asks_for_stream,
    read_keyframe,
    refuse_useless_flow,
)
from edge_ovss.errors import UsageError
from edge_ovss.frames.sources import Frame
from edge_ovss.live.percentiles import Percentiles
from edge_ovss.motion.dis import DEFAULT_FLOW, check_flow
from edge_ovss.motion.stored import is_stored
from edge_ovss.runtime.result import Result
from edge_ovss.runtime.saving import kinds
from edge_ovss.runtime.stream.timing import USUAL_FPS, check_hold
from edge_ovss.runtime.stream_segmenter import StreamOptions, StreamSegmenter

_TICK_S = 0.05


def stream_options(args: argparse.Namespace) -> StreamOptions | None:
    """Return how frames that follow each other are answered; None: each by itself.

    Raises:
        UsageError: An option is wrong, or two contradict each other.
    """
    keyframe = read_keyframe(args)
    if args.stabilize is not None:
        check_hold(args.stabilize)
    refuse_useless_flow(args)
    flow = check_flow(args.flow or DEFAULT_FLOW)
    return StreamOptions(args.stabilize, keyframe, flow) if asks_for_stream(args) else None


def refuse_stored_flow(options: StreamOptions | None) -> None:
    """Check that the motion of a camera does not come from a file.

    Raises:
        UsageError: It does.
    """
    if options is not None and is_stored(options.flow):
        message = f"--flow {options.flow} has the motion of a recording; this is live."
        raise UsageError(message, hint="Omit --flow: the motion is then estimated.")


def refuse_missing_outputs(options: StreamOptions | None, saved: tuple[str, ...]) -> None:
    """Check that nothing is to be saved that only frames of the network have.

    Raises:
        UsageError: Scores or confidence are.
    """
    if options is None or options.keyframe == 1:
        return
    for kind in (kinds.SCORES, kinds.CONFIDENCE):
        if kind in saved:
            message = f"Frames that the network does not see have no {kind}, which is to be saved."
            raise UsageError(message, hint="Omit --keyframe, or do not save it.")


class FrameAnswers:
    """Answers frames, and counts what key frames and others took.

    Args:
        segment: Segments a frame by itself.
        options: How streams are answered; None: each frame by itself.
        paced: Whether a network in its own thread gets the frames of recordings at their times.
    """

    def __init__(
        self,
        segment: Callable[[NDArray[np.uint8]], Result],
        options: StreamOptions | None,
        *,
        paced: bool = False,
    ) -> None:
        self._segment, self._options = segment, options
        self._stream = None if options is None else StreamSegmenter(segment, options)
        self._paced = paced and options is not None and options.keyframe is None
        self._start_s: float | None = None
        self._count = self._keys = 0
        self._times = {name: Percentiles() for name in ("key", "other", "all")}
        self._busy_s = 0.0

    def of_frame(self, frame: Frame, check: Callable[[], None]) -> Result:
        """Answer a frame of a recording or of images; `check` is called while waiting for it."""
        image = frame.image
        if self._paced:
            self._wait(frame, check)
        return self.answer(image, time_s=frame.time_s, source=_source_of(frame))

    def answer(self, image: NDArray[np.uint8], *, time_s: float | None, source: str) -> Result:
        """Answer a frame of a source."""
        if self._stream is None:
            return self._segment(image)
        start = time.perf_counter()
        result = self._stream.segment(image, time_s=time_s, source=source)
        self._note(time.perf_counter() - start, key=result.stream is None or result.stream.key)
        return result

    def _note(self, seconds: float, *, key: bool) -> None:
        self._count += 1
        self._keys += key
        self._busy_s += seconds
        self._times["all"].add(seconds)
        self._times["key" if key else "other"].add(seconds)

    def _wait(self, frame: Frame, check: Callable[[], None]) -> None:
        """Wait until the frame's time has come, as if the recording were live."""
        at = frame.time_s if frame.time_s is not None else self._count / USUAL_FPS
        now = time.monotonic()
        self._start_s = now - at if self._start_s is None else self._start_s
        while (left := self._start_s + at - time.monotonic()) > 0:
            check()
            time.sleep(min(_TICK_S, left))

    def to_json(self) -> dict[str, object]:
        """Return what was counted, for the end of the document; {} without streams."""
        if self._stream is None:
            return {}
        latency = {name: found.to_json() for name, found in self._times.items()}
        rate = self._count / self._busy_s if self._busy_s else None
        return {
            "stream": {
                "frames": self._count,
                "key_frames": self._keys,
                "latency_ms": latency,
                "throughput_fps": None if rate is None else round(rate, 3),
            }
        }

    def say(self, console: Console) -> None:
        """Print what was counted, and warn of images that are no video."""
        if self._stream is None or not self._count:
            return
        parts = [
            f"{name} p50 {ms['p50']:.1f} ms, p99 {ms['p99']:.1f} ms"
            for name, found in self._times.items()
            if (ms := _known(found))
        ]
        rate = self._count / max(self._busy_s, 1e-9)
        console.note(
            f"the network saw {self._keys} of {self._count} frames: {'; '.join(parts)}; "
            f"{rate:.1f} frames per second"
        )
        for warning in self._stream.warnings():
            console.warn(warning)

    def close(self) -> None:
        """Wait for the network, if it runs in its own thread."""
        if self._stream is not None:
            self._stream.close()


def _known(found: Percentiles) -> dict[str, float]:
    return {name: value for name, value in found.to_json().items() if value is not None}


def _source_of(frame: Frame) -> str:
    """Return what a frame is a part of: the recording, or the folder of the image."""
    recording, numbered, _ = frame.origin.rpartition(" #")
    return recording if numbered else str(Path(frame.origin).parent)
