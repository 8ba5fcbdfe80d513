"""What stands around a graph that takes an image and gives logits: OpenCV and numpy."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def image_of(frame: NDArray[np.uint8], facts: dict[str, Any]) -> NDArray[np.float32]:
    """Normalize and resize a frame.

    Args:
        frame: uint8 [H, W, 3], RGB.
        facts: "mean", "std", "height" and "width" of `fixture.write_setting`.

    Returns:
        float32 [1, 3, height, width].
    """
    mean, std = (np.array(facts[key], np.float32) for key in ("mean", "std"))
    size = (facts["width"], facts["height"])
    image = cv2.resize((frame - mean) / std, size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=np.float32)


def labels_of(logits: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Return labels, int64 [height, width], of logits [T, h, w]: the highest resized score.

    One class after another: stacking all of them first takes seven times as long with 150 classes.
    """
    scores = 1 / (1 + np.exp(-logits.astype(np.float32)))
    labels = np.zeros((height, width), np.int64)
    best = np.full((height, width), -np.inf, np.float32)
    for index, score in enumerate(scores):
        resized = cv2.resize(score, (width, height), interpolation=cv2.INTER_LINEAR)
        labels[resized > best] = index
        np.maximum(best, resized, out=best)
    return labels
