"""From a frame to the label map that is scored, by the fast or by the published preprocessing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.errors import UsageError
from edge_ovss.evaluation.preprocessing import resize_published
from edge_ovss.runtime.result import Result
from edge_ovss.runtime.segmenter import Segmenter

PREPROCESSINGS = {
    "fast": "the frame as it is; the graph resizes it once",
    "published": "shortest edge 640, longest at most 2560 (antialiased), then the graph's resize; "
    "scores upsampled to the original size",
}


def require_preprocessing(segmenter: Segmenter, name: str) -> None:
    """Check that a bundle can be run with a preprocessing.

    Raises:
        UsageError: The name is unknown, or the published one is asked of a bundle without scores.
    """
    if name not in PREPROCESSINGS:
        message = f"Preprocessing '{name}' is unknown; expected {' or '.join(PREPROCESSINGS)}."
        raise UsageError(message)
    if name == "published" and "scores" not in segmenter.bundle.manifest.output.outputs:
        message = (
            "The published preprocessing compares at the original size, which needs the scores; "
            "the bundle answers without them."
        )
        raise UsageError(message, hint="Export it again with --outputs labels,scores.")


def predict(
    segmenter: Segmenter, frame: NDArray[np.uint8], *, preprocessing: str = "fast"
) -> tuple[Result, NDArray[Any]]:
    """Segment a frame.

    Args:
        segmenter: A bundle on a backend.
        frame: uint8 [H, W, 3] RGB.
        preprocessing: One of `PREPROCESSINGS`.

    Returns:
        The answer of the graph, and the label map of outputs at the frame's size [H, W].
    """
    if preprocessing == "fast":
        result = segmenter.segment(frame)
        return result, result.labels
    result = segmenter.segment(resize_published(frame))
    if result.scores is None:
        require_preprocessing(segmenter, preprocessing)
    scores = np.asarray(result.scores, np.float32)
    best = upsample_best(scores, height=frame.shape[0], width=frame.shape[1])
    return result, np.asarray(segmenter.bundle.vocabulary.output_map, np.uint16)[best]


def upsample_best(scores: NDArray[np.float32], *, height: int, width: int) -> NDArray[np.int32]:
    """Resize scores bilinearly (half-pixel centres) and find the highest category per pixel.

    Args:
        scores: float32 [T, h, w].
        height: Of the result.
        width: Of the result.

    Returns:
        int32 [height, width]; ties go to the lower category.
    """
    cv2 = require("cv2", extra="onnxruntime")
    best = np.zeros((height, width), np.int32)
    highest = np.full((height, width), -np.inf, np.float32)
    for category, plane in enumerate(scores):
        # A rejected category answers 0 everywhere: it wins only where every score is 0.
        if category and not plane.any():
            continue
        resized = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
        better = resized > highest
        best[better] = category
        highest[better] = resized[better]
    return best
