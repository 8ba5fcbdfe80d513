"""Cameras and results that need no device and no bundle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge_ovss.errors import InputError
from edge_ovss.live.clock import Clock
from edge_ovss.live.grabber import LiveSource
from edge_ovss.live.sinks import LiveFrame
from edge_ovss.runtime.result import Result

NAMES = ("road", "car")
PALETTE = np.array([[128, 64, 128], [0, 0, 142]], np.uint8)
Found = tuple[NDArray[np.uint8], float | None] | None


class PretendedCamera:
    """Sends numbered frames at a rate: pixel (0, 0) holds the number in three bytes.

    Args:
        clock: The clock of the run.
        fps: Frames per second of that clock; 0 sends as fast as it is read.
        count: Frames until it ends; 0 for no end.
        size: Height and width.
    """

    def __init__(
        self, clock: Clock, fps: float = 0.0, count: int = 0, size: tuple[int, int] = (4, 6)
    ) -> None:
        self.sent = self.opened = self.released = 0
        self.gone, self.hangs = threading.Event(), threading.Event()
        self._clock, self._period_s, self._count, self._size = (
            clock,
            1 / fps if fps else 0,
            count,
            size,
        )
        self._start_s = clock.now()

    def open(self) -> PretendedCamera:
        if self.gone.is_set():
            message = "Video source 'pretended' cannot be opened."
            raise InputError(message)
        self.opened += 1
        return self

    def read(self) -> Found:
        while self.hangs.is_set():
            time.sleep(0.001)
        if self.gone.is_set() or (self._count and self.sent >= self._count):
            return None
        # As a real one: the next frame is due at a time of its own, read or not.
        wait_s = self._start_s + self.sent * self._period_s - self._clock.now()
        if self._period_s and wait_s > 0:
            time.sleep(self._clock.real(wait_s))
        frame = np.zeros((*self._size, 3), np.uint8)
        frame[0, 0] = self.sent >> 16, self.sent >> 8 & 255, self.sent & 255
        self.sent += 1
        return frame, None

    def release(self) -> None:
        self.released += 1


def source(camera: PretendedCamera, label: str = "pretended", *, ends: bool = False) -> LiveSource:
    return LiveSource(label, label, camera.open, ends)


def number_of(frame: NDArray[np.uint8]) -> int:
    high, middle, low = (int(value) for value in frame[0, 0])
    return high << 16 | middle << 8 | low


def result_of(frame: NDArray[np.uint8], total_ms: float = 1.0, **_: object) -> Result:
    labels = (frame[:, :, 2] % 2).astype(np.uint8)
    timings = {"pre": 0.0, "infer": total_ms, "post": 0.0, "total": total_ms}
    none = np.zeros(0, np.int32)
    return Result(labels, NAMES, none, np.zeros(3, np.int32), None, timings)


class Kept:
    """A view that remembers what it was shown."""

    def __init__(self, then: Callable[[LiveFrame], None] = lambda _: None) -> None:
        self.numbers: list[int] = []
        self.sources: list[str] = []
        self.last: LiveFrame | None = None
        self.closed = 0
        self._then = then

    def show(self, frame: LiveFrame) -> None:
        self.numbers.append(number_of(frame.frame))
        self.sources.append(frame.source)
        self.last = frame
        self._then(frame)

    def close(self) -> None:
        self.closed += 1


def live_frame(
    index: int, time_s: float, size: tuple[int, int] = (48, 64), label: str = "camera"
) -> LiveFrame:
    frame = np.full((*size, 3), 90, np.uint8)
    return LiveFrame(
        index, label, frame, result_of(frame), time_s, time_s, 0, {"name": f"f{index}"}
    )
