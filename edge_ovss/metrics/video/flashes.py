"""Flashes: categories that come for a moment and go again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_SHARE = 0.0005
LONGEST = 2


class Flashes:
    """Counts flashes in one video: at least 0.05 % of the pixels, for at most two frames.

    Args:
        classes: K, the number of categories; "unknown" is none of them.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._present: list[NDArray[np.bool_]] = []

    def add(self, labels: NDArray[Any]) -> None:
        """Take the predicted categories of the next frame, [H, W]."""
        pixels = np.bincount(labels.ravel(), minlength=self._classes)[: self._classes]
        self._present.append(pixels >= LEAST_SHARE * labels.size)

    @property
    def frames(self) -> int:
        """Number of frames so far."""
        return len(self._present)

    @property
    def count(self) -> int:
        """Number of flashes so far; what begins or ends with the video is none."""
        if len(self._present) <= LONGEST:
            return 0
        present = np.stack(self._present).astype(np.int8)
        return sum(_flashes(present[:, category]) for category in range(self._classes))


def _flashes(present: NDArray[np.int8]) -> int:
    """Number of runs of ones of at most `LONGEST` with a zero on either side."""
    steps = np.diff(present)
    starts, ends = np.nonzero(steps == 1)[0], np.nonzero(steps == -1)[0]
    if present[0]:
        ends = ends[1:]
    paired = ends - starts[: len(ends)]
    return int(np.count_nonzero(paired <= LONGEST))
