"""Read the frames of a video file in order, and find out whether any are missing.

OpenCV ends a video silently where the file is cut off, and at a frame that it cannot decode. Both
are reported here. The frame count in a header is often only an estimate (length times rate), so it
is not evidence by itself.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss._safe_text import shown
from edge_ovss.errors import InputError, VideoError
from edge_ovss.frames.video.captures import open_capture
from edge_ovss.frames.video.lengths import (
    cut_off,
    is_damaged,
    last_time,
    shows_its_end,
    states_its_length,
)

_HINT = "Copy or record it again, or convert the part that is there."
# A header may round its length, and a last frame may be shown for longer than the others.
_SLACK_FRAMES = 3
_SLACK = 0.01
_LONGEST_GAP_MS = 10_000


@dataclass(frozen=True)
class Shortfall:
    """Frames that a video lacks.

    Attributes:
        reason: Why, in words that continue "Video 'x' …".
        read: Number of frames that were read.
        expected: Number of frames there should be; None if unknown.
    """

    reason: str
    read: int
    expected: int | None = None

    def error(self, path: Path) -> VideoError:
        """Return the error to show to the user."""
        if self.expected is None:
            count = f"{self.read} frame{'' if self.read == 1 else 's'} could be read"
        else:
            lost = self.expected - self.read
            count = f"{self.read} of {self.expected} frames could be read, {lost} are lost"
        return VideoError(f"Video '{shown(path)}' {self.reason}; {count}.", hint=_HINT)


class Clock:
    """Tracks the times of frames and the usual interval between them.

    Attributes:
        last_ms: Time of the last frame that had one, in milliseconds.
    """

    def __init__(self) -> None:
        self.last_ms = 0.0
        self._ticks = 0
        self._gaps: Counter[int] = Counter()

    def tick(self, now_ms: float) -> float | None:
        """Take the time of the next frame; return it in seconds, or None if it is not usable.

        OpenCV reports frames without a time as 0.
        """
        first, gap = not self._ticks, now_ms - self.last_ms
        self._ticks += 1
        if not math.isfinite(now_ms) or gap < 0 or (gap == 0 and not first):
            return None
        self.last_ms = now_ms
        if not first:
            self._gaps[min(round(gap), _LONGEST_GAP_MS)] += 1
        return now_ms / 1000

    def interval(self, fps: float) -> float:
        """Return the median interval between frames in milliseconds; 0 if unknown."""
        half = sum(self._gaps.values()) / 2
        for gap in sorted(self._gaps):
            half -= self._gaps[gap]
            if half <= 0:
                return float(gap)
        return 1000 / fps if fps else 0.0

    def holes(self, fps: float) -> int:
        """Return how many frames would fit into gaps that are longer than usual."""
        usual = self.interval(fps)
        if not usual:
            return 0
        return sum(count * max(0, round(gap / usual) - 1) for gap, count in self._gaps.items())


@dataclass(frozen=True)
class _Stored:
    """The contents of a file before decoding: number of packets, and time of the last one."""

    packets: int
    last_ms: float


class VideoReader:
    """A video file that is read forward; frames that cannot be decoded are skipped and reported.

    Args:
        path: The file.

    Attributes:
        promised: Number of frames by the header, or OpenCV's estimate from it; 0 for none.
        read: Number of frames read so far.
        time_s: Time of the last frame, in seconds from the first; None if unknown.

    Raises:
        InputError: It cannot be opened.
        MissingDependencyError: OpenCV is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cut = cut_off(path)
        self._cv2 = require("cv2", extra="onnxruntime")
        try:
            self._capture = open_capture(str(path))
        except InputError as err:
            raise self._unopened(err) from err
        self._fps = _sane(self._capture.get(self._cv2.CAP_PROP_FPS))
        self.promised = int(_sane(self._capture.get(self._cv2.CAP_PROP_FRAME_COUNT)))
        self.read = self._failed = self._blank = 0
        self.time_s: float | None = None
        self._clock = Clock()
        self._stored: _Stored | None = None

    @property
    def cut(self) -> str | None:
        """How the file shows that its end is missing, in words; None if it does not."""
        return self._cut

    def grab(self) -> bool:
        """Advance to the next frame that can be decoded; return False after the last one."""
        while not self._capture.grab():
            # OpenCV reports the end and a frame that it cannot decode in the same way.
            self._failed += 1
            if self.read + self._failed > self._packets():
                return False
        self.read += 1
        self.time_s = self._clock.tick(self._capture.get(self._cv2.CAP_PROP_POS_MSEC))
        return True

    def retrieve(self) -> NDArray[np.uint8] | None:
        """Return the frame, uint8 [H, W, 3] RGB; None if it cannot be read."""
        done, image = self._capture.retrieve()
        if not done or image is None:
            self._blank += 1
            return None
        return np.ascontiguousarray(image[:, :, ::-1])

    def release(self) -> None:
        """Close the file."""
        self._capture.release()

    def shortfall(self) -> Shortfall | None:
        """Return what is missing after `grab` has reached the end; None if nothing is."""
        stated = self.promised > self.read and states_its_length(self._path)
        promised = self.promised if stated else None
        if self._cut:
            return Shortfall(f"is cut off: {self._cut}", self.read, promised)
        stored = self._packets()
        if lost := self._lost(stored) + self._blank:
            read = self.read - self._blank
            return Shortfall("has frames that cannot be decoded", read, read + lost)
        holes = self._clock.holes(self._fps)
        if self.read < self.promised and holes and is_damaged(self._path):
            return Shortfall("is damaged", self.read, promised or self.read + holes)
        if self._ends_early(stored):
            return Shortfall("ends before its header says", self.read, promised)
        return None

    def _unopened(self, err: InputError) -> InputError:
        if not self._path.stat().st_size:
            return InputError(f"Video '{shown(self._path)}' is empty (0 bytes).", hint=_HINT)
        if self._cut:
            message = f"Video '{shown(self._path)}' is cut off: {self._cut}. It cannot be opened."
            return VideoError(message, hint="Copy or record it again.")
        return err

    def _packets(self) -> int:
        """Return the number of packets in the file; counted only if frames may be missing."""
        if self._stored is None:
            suspicious = (
                self.read < self.promised or not self.promised or self._clock.holes(self._fps)
            )
            counted = _count_packets(self._path) if suspicious else None
            self._stored = counted or _Stored(self.read, self._clock.last_ms)
        return self._stored.packets

    def _lost(self, stored: int) -> int:
        """Return how many packets yielded no frame and left a gap where it should be.

        Either alone may be by design: packets without a frame, or gaps at a variable rate.
        """
        usual, last = self._clock.interval(self._fps), self._stored.last_ms if self._stored else 0.0
        tail = max(0, round((last - self._clock.last_ms) / usual)) if usual else 0
        return min(max(0, stored - self.read), self._clock.holes(self._fps) + tail)

    def _ends_early(self, stored: int) -> bool:
        if stored >= self.promised or not self._fps or shows_its_end(self._path):
            return False
        if not states_its_length(self._path):
            return False
        usual = max(self._clock.interval(self._fps), 1000 / self._fps) / 1000
        length = self.promised / self._fps
        there = max(last_time(self._path) or 0.0, self._clock.last_ms / 1000)
        return length - (there + usual) > _SLACK_FRAMES * usual + _SLACK * length


def _count_packets(path: Path) -> _Stored | None:
    """Count the packets of a file without decoding them; None where OpenCV cannot tell."""
    cv2 = require("cv2", extra="onnxruntime")
    capture = open_capture(str(path))
    try:
        if not capture.set(cv2.CAP_PROP_FORMAT, -1):
            return None
        packets, last = 0, 0.0
        while capture.grab():
            packets += 1
            last = max(last, float(capture.get(cv2.CAP_PROP_POS_MSEC)))
        return _Stored(packets, last)
    finally:
        capture.release()


def _sane(value: float) -> float:
    return value if math.isfinite(value) and 0 < value < 1e9 else 0.0
