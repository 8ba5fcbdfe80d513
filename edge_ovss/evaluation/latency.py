"""Measure how long a frame takes, from bytes to labels, the same way for every subject."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_ovss.errors import UsageError

FrameArray = NDArray[np.uint8]
Times = Mapping[str, float]


@dataclass(frozen=True)
class Subject:
    """Something that segments frames.

    Attributes:
        name: Name in tables.
        run: Segments a frame, uint8 [H, W, 3] RGB; returns milliseconds by stage, with "total".
    """

    name: str
    run: Callable[[FrameArray], Times]


@dataclass(frozen=True)
class BenchOptions:
    """How long to measure.

    Attributes:
        warmup: Frames per subject that are not counted.
        count: Frames per subject; None if `duration_s` is given.
        duration_s: Seconds to measure; None if `count` is given.
    """

    warmup: int = 5
    count: int | None = 50
    duration_s: float | None = None

    def __post_init__(self) -> None:
        if self.warmup < 0:
            message = f"The warm-up is {self.warmup} frames; expected 0 or more."
            raise UsageError(message)
        if (self.count is None) == (self.duration_s is None):
            message = "Both a count and a duration were given, or neither; expected one of them."
            raise UsageError(message, hint="Use --count 50 or --duration 10.")
        if self.count is not None and self.count < 1:
            message = f"--count is {self.count}; expected at least 1."
            raise UsageError(message)
        if self.duration_s is not None and self.duration_s <= 0:
            message = f"--duration is {self.duration_s}; expected more than 0 seconds."
            raise UsageError(message)

    def goes_on(self, done: int, elapsed_s: float) -> bool:
        """Return whether another round is due; there is always at least one."""
        if self.count is not None:
            return done < self.count
        return done == 0 or elapsed_s < (self.duration_s or 0.0)


@dataclass(frozen=True)
class Latency:
    """Measurements of one subject.

    Attributes:
        name: Name of the subject.
        stages_ms: Times in the order of the frames, by stage; "total" is end to end, "device"
            (if the backend reports it) is the time on the accelerator alone.
    """

    name: str
    stages_ms: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """Number of frames that were counted."""
        return len(self.stages_ms["total"])

    @property
    def throughput_fps(self) -> float:
        """Frames per second, processed one at a time."""
        return 1000.0 / float(np.mean(self.stages_ms["total"]))

    def summary(self) -> dict[str, dict[str, float]]:
        """Return mean, p50, p90, p99 and max by stage, in milliseconds."""
        return {stage: summarize(times) for stage, times in self.stages_ms.items()}

    def to_json(self) -> dict[str, object]:
        """Return the numbers and every total time as a JSON object."""
        return {
            "name": self.name,
            "frames": self.frames,
            "throughput_fps": self.throughput_fps,
            "stages_ms": self.summary(),
            "total_ms": [round(value, 4) for value in self.stages_ms["total"]],
        }


def measure_latency(
    subjects: Sequence[Subject], frames: Sequence[FrameArray], options: BenchOptions
) -> tuple[Latency, ...]:
    """Measure subjects on the same frames, interleaved, so that load changes affect all alike.

    Args:
        subjects: One or more.
        frames: uint8 [H, W, 3] RGB; used in turn.
        options: How long.
    """
    for number in range(options.warmup):
        for subject in subjects:
            subject.run(frames[number % len(frames)])
    times: list[dict[str, list[float]]] = [{} for _ in subjects]
    start, done = time.perf_counter(), 0
    while options.goes_on(done, time.perf_counter() - start):
        # The first subject changes every round, because the second finds warmer caches.
        turn = done % len(subjects)
        for index in (*range(turn, len(subjects)), *range(turn)):
            for stage, value in subjects[index].run(frames[done % len(frames)]).items():
                times[index].setdefault(stage, []).append(value)
        done += 1
    return tuple(Latency(s.name, found) for s, found in zip(subjects, times, strict=True))


def summarize(times: Sequence[float]) -> dict[str, float]:
    """Return mean, p50, p90, p99 and max of at least one time, in the given unit.

    A percentile is a measured time (the next higher one), never interpolated.
    """
    p50, p90, p99 = np.quantile(times, [0.5, 0.9, 0.99], method="higher").tolist()
    return {
        "mean": float(np.mean(times)),
        "p50": p50,
        "p90": p90,
        "p99": p99,
        "max": float(np.max(times)),
    }
