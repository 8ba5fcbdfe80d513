"""The published preprocessing: shortest edge to 640, as Pillow resizes, bit for bit.

Pillow itself is not needed: a device that runs a bundle has numpy, and this is 8-bit fixed-point
arithmetic that numpy repeats exactly (a test compares the two where Pillow is installed).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SHORTEST_EDGE = 640
LONGEST_EDGE = 2560

# Pillow keeps its weights as integers of this many bits behind the point.
_BITS = 22


def published_size(height: int, width: int) -> tuple[int, int]:
    """Return (height, width) with the shortest edge at 640 and the longest at most 2560."""
    scale = SHORTEST_EDGE / min(height, width)
    scaled = (
        (float(SHORTEST_EDGE), scale * width)
        if height < width
        else (scale * height, float(SHORTEST_EDGE))
    )
    longest = max(scaled)
    if longest > LONGEST_EDGE:
        scaled = (scaled[0] * (LONGEST_EDGE / longest), scaled[1] * (LONGEST_EDGE / longest))
    return int(scaled[0] + 0.5), int(scaled[1] + 0.5)


def resize_published(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resize uint8 [H, W, 3] by the published rule."""
    height, width = published_size(frame.shape[0], frame.shape[1])
    return resize_bilinear_antialiased(frame, height=height, width=width)


def resize_bilinear_antialiased(
    frame: NDArray[np.uint8], *, height: int, width: int
) -> NDArray[np.uint8]:
    """Resize with a triangle filter that widens when it shrinks, as Pillow's BILINEAR.

    Args:
        frame: uint8 [H, W, C].
        height: Of the result.
        width: Of the result.

    Returns:
        uint8 [height, width, C], equal to Pillow's in every byte.
    """
    wide = frame if frame.shape[1] == width else _resize_rows(frame.transpose(1, 0, 2), width)
    if frame.shape[1] != width:
        wide = wide.transpose(1, 0, 2)
    tall = wide if frame.shape[0] == height else _resize_rows(wide, height)
    return np.ascontiguousarray(tall)


def _resize_rows(frame: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize the first axis; the middle result is rounded to bytes, as Pillow does."""
    first, weights = _filter(frame.shape[0], size)
    total = np.full((size, *frame.shape[1:]), 1 << (_BITS - 1), np.int64)
    for tap in range(weights.shape[1]):
        rows = frame[np.minimum(first + tap, frame.shape[0] - 1)]
        total += weights[:, tap, None, None] * rows.astype(np.int64)
    result: NDArray[np.uint8] = np.clip(total >> _BITS, 0, 255).astype(np.uint8)
    return result


@lru_cache(maxsize=64)
def _filter(given: int, wanted: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first source index [wanted] and the integer weights [wanted, taps]."""
    scale = given / wanted
    reach = max(scale, 1.0)
    taps = math.ceil(reach) * 2 + 1
    first = np.zeros(wanted, np.int64)
    weights = np.zeros((wanted, taps), np.int64)
    for index in range(wanted):
        center = (index + 0.5) * scale
        start = max(int(center - reach + 0.5), 0)
        stop = min(int(center + reach + 0.5), given)
        values = [max(1 - abs((at - center + 0.5) / reach), 0.0) for at in range(start, stop)]
        total = sum(values)
        first[index] = start
        weights[index, : stop - start] = [int(0.5 + v / total * (1 << _BITS)) for v in values]
    return first, weights
