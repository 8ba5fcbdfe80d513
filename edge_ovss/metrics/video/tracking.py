"""Does the prediction go along with the image? TC, flicker, and change.

Pairs of neighboring frames are compared along a motion that comes from the images, never from the
method that is measured: labels of the frame before, moved to this frame, against this frame's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.metrics.confusion import IGNORED
from edge_ovss.motion.vectors import Sources

LabelMap = NDArray[Any]


class Tracking:
    """Numbers over pairs of frames.

    Args:
        classes: K, the number of categories.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._pairs = np.zeros((classes + 1, classes + 1), np.int64)
        self._steady = self._flickers = self._compared = self._changes = 0

    def add(
        self, before: LabelMap, labels: LabelMap, sources: Sources, truth: Truths | None = None
    ) -> None:
        """Take two frames that follow each other.

        Args:
            before: Predicted categories of the frame before, [H, W]; K and above is "unknown".
            labels: Those of this frame.
            sources: Where the pixels of this frame were in the one before.
            truth: The truth of both, if it is known.
        """
        moved = np.asarray(before).ravel()[sources.index]
        seen = sources.trusted
        self._count(moved[seen], labels[seen])
        differs = moved != labels
        self._compared += int(np.count_nonzero(seen))
        self._changes += int(np.count_nonzero(seen & differs))
        if truth is not None:
            steady = truth.steady(sources)
            self._steady += int(np.count_nonzero(steady))
            self._flickers += int(np.count_nonzero(steady & differs))

    def _count(self, moved: LabelMap, labels: LabelMap) -> None:
        side = self._classes + 1
        rows = np.minimum(labels.astype(np.int64), self._classes)
        cols = np.minimum(moved.astype(np.int64), self._classes)
        found = np.bincount(rows * side + cols, minlength=side * side)
        self._pairs += found.reshape(side, side)

    @property
    def tc(self) -> float:
        """Temporal consistency: mean IoU of moved and new labels, 0 to 1; NaN without pairs."""
        return mean_iou(self._pairs)

    @property
    def flicker(self) -> float:
        """Share of the pixels whose truth moves along whose prediction does not; or NaN."""
        return self._flickers / self._steady if self._steady else float("nan")

    @property
    def change(self) -> float:
        """The same share of all pixels whose motion is known, which needs no truth; or NaN."""
        return self._changes / self._compared if self._compared else float("nan")


class Truths:
    """The truth of two frames that follow each other.

    Args:
        before: Categories of the frame before, [H, W], or `IGNORED`.
        now: Those of this frame.
    """

    def __init__(self, before: LabelMap, now: LabelMap) -> None:
        self._before, self._now = before, now

    def steady(self, sources: Sources) -> NDArray[np.bool_]:
        """Where the truth is labeled and moves along, bool [H, W]."""
        moved = self._before.ravel()[sources.index]
        steady: NDArray[np.bool_] = sources.trusted & (moved == self._now)
        steady &= self._now != IGNORED
        return steady

    def labeled(self, sources: Sources) -> Sources:
        """Return the sources of those pixels only that are labeled in both frames."""
        moved = self._before.ravel()[sources.index]
        both = sources.trusted & (moved != IGNORED) & (self._now != IGNORED)
        return Sources(sources.index, both)


def mean_iou(matrix: NDArray[np.int64]) -> float:
    """Return the mean IoU over the categories in a confusion matrix, 0 to 1; NaN if it is empty."""
    right = np.diagonal(matrix)
    union = matrix.sum(0) + matrix.sum(1) - right
    present = union > 0
    return float((right[present] / union[present]).mean()) if present.any() else float("nan")
