"""Does a live run stay small and current? A pretended camera, faster than the inference.

The camera sends 60 frames per second of 480 x 640. Inference takes 50 ms, every result is drawn.
Printed: growth of memory after the first 500 results, age of what is shown, how far the frame that
was taken is behind the newest one, and whether the counts add up.

    python -m benchmarks.live.soak --frames 20000 --speed 10
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edge_ovss.live.clock import Clock
from edge_ovss.live.grabber import LiveSource
from edge_ovss.live.loop import LiveOptions, LiveRun
from edge_ovss.live.sinks import LiveFrame
from edge_ovss.live.views.painting import Painter
from edge_ovss.runtime.result import Result

FPS, INFERENCE_S = 60.0, 0.05
SETTLED = 500
_SIZE = (480, 640)
_NAMES = ("road", "sky", "car")
_PALETTE = np.array([[128, 64, 128], [70, 130, 180], [0, 0, 142]], np.uint8)
_PAGE = 4096


@dataclass(frozen=True)
class Soak:
    """What was found.

    Attributes:
        read: Frames sent and read.
        segmented: Frames segmented and shown.
        dropped: Frames that were replaced by a newer one.
        skipped: Frames left at the end.
        growth_mb: Growth of memory after result 500: the median of the last tenth of the looks
            less that of the first tenth. One look would also see the frames on their way.
        age_ms: Percentiles of the age of what was shown, by the clock of the run.
        behind: How often the frame taken was so many frames behind the newest.
        in_order: Whether all frames came in order, none twice.
    """

    read: int
    segmented: int
    dropped: int
    skipped: int
    growth_mb: float
    age_ms: dict[str, float | None]
    behind: dict[int, int]
    in_order: bool


class _Camera:
    """Sends frames at times of its own, whoever reads them."""

    def __init__(self, clock: Clock, frames: int) -> None:
        self.sent = 0
        self._clock, self._frames, self._start_s = clock, frames, clock.now()
        self._pictures = np.random.default_rng(0).integers(0, 256, (8, *_SIZE, 3), np.uint8)

    def open(self) -> _Camera:
        return self

    def read(self) -> tuple[NDArray[np.uint8], float | None] | None:
        if self.sent >= self._frames:
            return None
        wait_s = self._start_s + self.sent / FPS - self._clock.now()
        _sleep(self._clock, wait_s)
        frame = self._pictures[self.sent % 8].copy()  # a real camera takes memory too
        frame[0, 0] = self.sent >> 16, self.sent >> 8 & 255, self.sent & 255
        self.sent += 1
        return frame, None

    def release(self) -> None:
        """Nothing is held."""


class _Watching:
    """Draws every result, and looks at the memory from time to time."""

    def __init__(self) -> None:
        self._looks_mb: list[float] = []
        self._painter = Painter(_NAMES, _PALETTE)
        self._count = 0

    def show(self, frame: LiveFrame) -> None:
        self._painter.paint(frame)
        self._count += 1
        if self._count >= SETTLED and self._count % 10 == 0:
            self._looks_mb.append(_resident_mb())

    def growth_mb(self) -> float:
        if not self._looks_mb:
            text = f"fewer than {SETTLED} results were shown: send more frames"
            raise ValueError(text)
        part = max(1, len(self._looks_mb) // 10)
        return median(self._looks_mb[-part:]) - median(self._looks_mb[:part])

    def close(self) -> None:
        """Nothing is held."""


def soak(frames: int, speed: float) -> Soak:
    """Run over `frames` frames, `speed` times as fast as the real thing."""
    clock, watching, behind = Clock(speed), _Watching(), Counter[int]()
    camera = _Camera(clock, frames)
    numbers: list[int] = []

    def segment(frame: NDArray[np.uint8], /, *, time_s: float, source: str) -> Result:
        del time_s, source
        high, middle, low = (int(value) for value in frame[0, 0])
        number = high << 16 | middle << 8 | low
        behind[camera.sent - 1 - number] += 1
        numbers.append(number)
        _sleep(clock, INFERENCE_S)
        return _result(frame)

    pretended = LiveSource("pretended", "pretended", camera.open, ends=True)
    run = LiveRun([pretended], segment, [watching], LiveOptions(), warn=print, clock=clock)
    run.run(lambda: None)
    (facts,) = run.summary.sources
    return Soak(
        facts.read,
        facts.segmented,
        facts.dropped,
        facts.skipped,
        round(watching.growth_mb(), 2),
        run.summary.age.to_json(),
        dict(sorted(behind.items())),
        all(a < b for a, b in pairwise(numbers)),
    )


def _sleep(clock: Clock, seconds: float) -> None:
    if seconds > 0:
        time.sleep(clock.real(seconds))


def _result(frame: NDArray[np.uint8]) -> Result:
    labels = np.zeros(frame.shape[:2], np.uint8)
    labels[: int(frame[0, 0, 2])] = 1
    times = {"pre": 0.0, "infer": 1000 * INFERENCE_S, "post": 0.0, "total": 1000 * INFERENCE_S}
    none = np.zeros(0, np.int32)
    return Result(labels, _NAMES, none, np.zeros(3, np.int32), None, times)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * _PAGE / 1e6


def main() -> int:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=20_000, help="frames (default 20000)")
    parser.add_argument("--speed", type=float, default=1.0, help="times real time (default 1)")
    args = parser.parse_args()
    print(json.dumps(asdict(soak(args.frames, args.speed)), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
