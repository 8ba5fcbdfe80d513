"""A strip of frames before and after: where the stream changed the labels most."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.frames.images import Labels, write_picture
from edge_ovss.runtime.overlay import blend

STRIP_FILE = "strip.png"
_FRAMES = 5
_WIDTH = 240

Image = NDArray[np.uint8]


class Strip:
    """Keeps the five frames in a row whose labels the stream changed most.

    Args:
        palette: uint8 [K, 3], RGB.
    """

    def __init__(self, palette: NDArray[np.uint8]) -> None:
        self._palette = palette
        self._columns: deque[tuple[float, Image]] = deque(maxlen=_FRAMES)
        self._best: list[Image] = []
        self._most = -1.0

    def add(self, frame: Image, before: Labels, after: Labels) -> None:
        """Take a frame, uint8 [H, W, 3], with its labels frame by frame and as a stream."""
        rows = [_small(frame, frame.shape[:2])]
        for labels in (before, after):
            rows.append(_small(blend(frame, labels, self._palette, alpha=0.7), frame.shape[:2]))
        column = np.concatenate(rows)
        if self._columns and self._columns[-1][1].shape != column.shape:
            self._columns.clear()
        self._columns.append((float((before != after).mean()), column))
        changed = sum(share for share, _ in self._columns)
        if len(self._columns) >= len(self._best) and changed > self._most:
            self._most, self._best = changed, [column for _, column in self._columns]

    def write(self, path: Path) -> None:
        """Write the strip as a PNG: images, labels frame by frame, labels of the stream.

        Raises:
            OutputError: It cannot be written.
        """
        if self._best:
            write_picture(path, np.concatenate(self._best, axis=1))


def _small(image: Image, size: tuple[int, ...]) -> Image:
    cv2 = require("cv2", extra="onnxruntime")
    height, width = size
    small: Image = cv2.resize(
        image, (_WIDTH, max(1, round(height * _WIDTH / width))), interpolation=cv2.INTER_AREA
    )
    return small
