"""mIoU and related scores from a confusion matrix, with both denominators in use.

Two means are called mIoU (docs/evaluation.md). They differ when a category is predicted that the
data set does not have: `d2-main` omits it, `d2-0.6+mmseg` counts it as 0.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ovss.errors import InputError, UsageError
from edge_ovss.metrics.confusion import Confusion
from edge_ovss.metrics.reported import DEFAULT_PROTOCOL, PROTOCOLS


@dataclass(frozen=True)
class Scores:
    """Scores from a confusion matrix; ratios are in [0, 1], or NaN where undefined.

    Attributes:
        names: The K category names.
        iou: float64 [K], TP / (GT + predicted − TP); NaN for a category that is in neither.
        accuracy: float64 [K], TP / GT; NaN for a category without ground truth.
        truth_pixels: int64 [K], pixels of the ground truth.
        predicted_pixels: int64 [K], predicted pixels where the truth is not ignored.
        pixel_accuracy: Share of correct pixels.
        mean_accuracy: Mean of `accuracy` over the categories in the ground truth.
        fw_iou: IoU weighted by the share of each category in the ground truth.
    """

    names: tuple[str, ...]
    iou: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    truth_pixels: NDArray[np.int64]
    predicted_pixels: NDArray[np.int64]
    pixel_accuracy: float
    mean_accuracy: float
    fw_iou: float

    def miou(self, protocol: str = DEFAULT_PROTOCOL) -> float:
        """Return the mean IoU, in [0, 1].

        Args:
            protocol: One of `PROTOCOLS`.

        Raises:
            UsageError: There is no such protocol.
        """
        require_protocol(protocol)
        present = self.truth_pixels > 0
        total = float(self.iou[present].sum())
        if protocol == "d2-main":
            return total / int(present.sum())
        return total / int((present | (self.predicted_pixels > 0)).sum())

    def to_json(self, protocol: str = DEFAULT_PROTOCOL) -> dict[str, object]:
        """Return the numbers as a JSON object, ratios in percent, None for NaN."""
        by_category = [
            {
                "name": name,
                "iou": _percent(self.iou[index]),
                "accuracy": _percent(self.accuracy[index]),
                "truth_pixels": int(self.truth_pixels[index]),
                "predicted_pixels": int(self.predicted_pixels[index]),
            }
            for index, name in enumerate(self.names)
        ]
        return {
            "protocol": protocol,
            "miou": _percent(self.miou(protocol)),
            "miou_d2_main": _percent(self.miou("d2-main")),
            "miou_d2_06_mmseg": _percent(self.miou("d2-0.6+mmseg")),
            "pixel_accuracy": _percent(self.pixel_accuracy),
            "mean_accuracy": _percent(self.mean_accuracy),
            "fw_iou": _percent(self.fw_iou),
            "categories_in_truth": int((self.truth_pixels > 0).sum()),
            "categories_predicted": int((self.predicted_pixels > 0).sum()),
            "by_category": by_category,
        }


def score_confusion(matrix: Confusion, names: Sequence[str]) -> Scores:
    """Compute the scores of a data set from its summed confusion matrix.

    Args:
        matrix: int64 [K, K], rows are true, columns are predicted; or [K + 1, K + 1], where the
            last row and column are "unknown". That is no category: no mean counts it, but a pixel
            where it is right is a right one.
        names: K category names.

    Raises:
        InputError: The matrix is empty, or the names do not fit it.
    """
    count = len(names)
    if matrix.shape not in ((count, count), (count + 1, count + 1)):
        message = f"The confusion matrix is {matrix.shape}; expected {len(names)} categories."
        raise InputError(message)
    correct, total = int(np.trace(matrix)), int(matrix.sum())
    truth, predicted = matrix.sum(1)[:count], matrix.sum(0)[:count]
    right = np.diagonal(matrix)[:count]
    if not int(truth.sum()):
        message = "No pixel has a label, so there is nothing to score."
        raise InputError(message, hint="Check the layout and its ignore value: data check.")
    iou = _ratio(right, truth + predicted - right)
    weights = truth / truth.sum()
    present = truth > 0
    accuracy = _ratio(right, truth)
    return Scores(
        names=tuple(names),
        iou=iou,
        accuracy=accuracy,
        truth_pixels=truth,
        predicted_pixels=predicted,
        pixel_accuracy=correct / total,
        mean_accuracy=float(accuracy[present].mean()),
        fw_iou=float((iou[present] * weights[present]).sum()),
    )


def require_protocol(name: str) -> None:
    """Check that `name` is one of `PROTOCOLS`.

    Raises:
        UsageError: It is not; the hint suggests a similar name.
    """
    if name not in PROTOCOLS:
        close = difflib.get_close_matches(name, PROTOCOLS, n=1)
        message = f"Protocol '{name}' is unknown; expected one of: {', '.join(PROTOCOLS)}."
        raise UsageError(message, hint=f"Did you mean '{close[0]}'?" if close else None)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    result = np.full(part.shape, np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def _percent(ratio: float) -> float | None:
    return None if np.isnan(ratio) else 100.0 * float(ratio)
