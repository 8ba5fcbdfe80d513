"""Segment frames with the fast or the published preprocessing, up to the label map to score.

The published one resizes the shortest edge to 640, bit for bit as Pillow does. Pillow itself is not
needed: its 8-bit fixed-point arithmetic is repeated exactly in numpy (a test compares the two).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.bundle.decisive import with_unknown
from edge_ovss.bundle.unknown import OFF
from edge_ovss.errors import UsageError
from edge_ovss.runtime.result import Result
from edge_ovss.runtime.segmenter import Segmenter

PREPROCESSINGS = {
    "fast": "the frame as it is; the graph resizes it once",
    "published": "shortest edge 640, longest at most 2560 (antialiased), then the graph's resize; "
    "scores upsampled to the original size",
}

SHORTEST_EDGE = 640
LONGEST_EDGE = 2560

# Pillow stores its weights as fixed-point integers with this many fractional bits.
_BITS = 22


def require_preprocessing(segmenter: Segmenter, name: str) -> None:
    """Check that a bundle can be run with a preprocessing.

    Raises:
        UsageError: The name is unknown, or it is "published" and the bundle has no scores.
    """
    if name not in PREPROCESSINGS:
        message = f"Preprocessing '{name}' is unknown; expected {' or '.join(PREPROCESSINGS)}."
        raise UsageError(message)
    if name == "published" and "scores" not in segmenter.bundle.manifest.output.outputs:
        message = (
            "The published preprocessing compares at the original size, which needs the scores; "
            "the bundle does not output them."
        )
        raise UsageError(message, hint="Export it again with --outputs labels,scores.")


@dataclass(frozen=True)
class Prediction:
    """The labels of one frame at its own size.

    Attributes:
        result: The result of the graph.
        labels: [H, W], with "unknown" where the thresholds say so.
        measure: float32 [H, W], what thresholds are compared with; None if the bundle does not
            output it.
        plain: [H, W], the labels without thresholds; None where only another run tells them.
    """

    result: Result
    labels: NDArray[Any]
    measure: NDArray[np.float32] | None
    plain: NDArray[Any] | None


def predict(
    segmenter: Segmenter,
    frame: NDArray[np.uint8],
    *,
    preprocessing: str = "fast",
    unknown: str | None = None,
) -> Prediction:
    """Segment a frame.

    Args:
        segmenter: A bundle on a backend.
        frame: uint8 [H, W, 3] RGB.
        preprocessing: One of `PREPROCESSINGS`.
        unknown: "off" for labels without "unknown"; None for what the segmenter was told.
    """
    if preprocessing == "fast":
        result = segmenter.segment(frame, unknown=unknown)
        is_plain = unknown == OFF or segmenter.unknown is None or segmenter.unknown.is_off
        plain = result.labels if is_plain else None
        return Prediction(result, result.labels, result.confidence, plain)
    result = segmenter.segment(resize_published(frame), unknown=unknown)
    if result.scores is None:
        require_preprocessing(segmenter, preprocessing)
    scores = np.asarray(result.scores, np.float32)
    best, highest = upsample_best(scores, height=frame.shape[0], width=frame.shape[1])
    words = np.asarray(segmenter.bundle.vocabulary.output_map, np.uint16)[best]
    labels: NDArray[Any] = words
    if segmenter.unknown is not None and unknown != OFF:
        labels = with_unknown(words, highest, segmenter.unknown.of(len(segmenter.names)))
    return Prediction(result, labels, highest, words)


def upsample_best(
    scores: NDArray[np.float32], *, height: int, width: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Resize scores bilinearly (half-pixel centers) and find the best category per pixel.

    Args:
        scores: float32 [T, h, w].
        height: Height of the result.
        width: Width of the result.

    Returns:
        The category, int32 [height, width], where ties go to the lower one, and its score, float32.
    """
    cv2 = require("cv2", extra="onnxruntime")
    best = np.zeros((height, width), np.int32)
    highest = np.full((height, width), -np.inf, np.float32)
    for category, plane in enumerate(scores):
        # The scores of a rejected category are 0: it wins only where every score is 0.
        if category and not plane.any():
            continue
        resized = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
        better = resized > highest
        best[better] = category
        highest[better] = resized[better]
    return best, highest


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
    """Resize with a triangle filter that widens when shrinking, as Pillow's BILINEAR does.

    Args:
        frame: uint8 [H, W, C].
        height: Height of the result.
        width: Width of the result.

    Returns:
        uint8 [height, width, C], equal to Pillow's in every byte.
    """
    wide = frame if frame.shape[1] == width else _resize_rows(frame.transpose(1, 0, 2), width)
    if frame.shape[1] != width:
        wide = wide.transpose(1, 0, 2)
    tall = wide if frame.shape[0] == height else _resize_rows(wide, height)
    return np.ascontiguousarray(tall)


def _resize_rows(frame: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize the first axis and round to bytes, as Pillow does after each axis."""
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
