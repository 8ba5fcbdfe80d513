"""Compare the speed of two graphs in ONNX Runtime, on this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.bundle.contract import Arrays


@dataclass(frozen=True)
class Race:
    """Medians of runs that took turns, in milliseconds.

    Attributes:
        before_ms: The float32 graph.
        after_ms: The new graph.
        runs: Number of runs of each.
        threads: Number of threads of each.
    """

    before_ms: float
    after_ms: float
    runs: int
    threads: int

    @property
    def factor(self) -> float:
        """How many times faster the new graph is."""
        return self.before_ms / self.after_ms

    def to_json(self) -> dict[str, object]:
        """Return the record for a manifest."""
        return {
            "backend": "onnxruntime",
            "fp32_ms": round(self.before_ms, 2),
            "ms": round(self.after_ms, 2),
            "factor": round(self.factor, 3),
            "runs": self.runs,
            "threads": self.threads,
        }


def race(
    before: Path,
    after: Path,
    frames: Sequence[NDArray[np.uint8]],
    *,
    rounds: int = 5,
    words: Arrays | None = None,
) -> Race:
    """Run two graphs in turns on the same frames, after one run each to warm up.

    They take turns so that other programs on the machine slow down both. The sessions are those of
    the runtime, whose options decide which graph is faster.
    """
    from edge_ovss._machine import available_cores
    from edge_ovss.graph.model import feed
    from edge_ovss.runtime.backends.ort import open_session

    runtime = require("onnxruntime", extra="export")
    graphs = (before, after)
    sessions = [open_session(runtime, path, threads=available_cores()) for path in graphs]
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for frame in frames:
            for session, taken in zip(sessions, times, strict=True):
                start = time.perf_counter()
                session.run(None, feed(session, frame, words=words))
                if number:
                    taken.append(1e3 * (time.perf_counter() - start))
    return Race(median(times[0]), median(times[1]), len(times[0]), available_cores())
