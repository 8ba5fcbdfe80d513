"""Scores of label maps that may say "unknown", from a confusion matrix that has it last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_ovss.metrics.confusion import Confusion
from edge_ovss.metrics.miou import score_confusion

NOT_A_NUMBER = float("nan")


@dataclass(frozen=True)
class UnknownScores:
    """How much is labeled with a word, how right that is, and how right "unknown" is.

    Ratios are in [0, 1], or NaN where undefined.

    Attributes:
        coverage: Share of pixels that are labeled with a word.
        risk: Share of wrong pixels among those.
        known_miou: Mean IoU over the pixels whose truth is a word (protocol d2-main); one that is
            labeled unknown is missed.
        precision: Share of pixels labeled unknown whose truth is no word.
        recall: Share of pixels whose truth is no word that are labeled unknown.
        iou: IoU of "unknown".
        truth_pixels: Pixels whose truth is no word; without any there is no precision.
        predicted_pixels: Pixels labeled unknown.
    """

    coverage: float
    risk: float
    known_miou: float
    precision: float
    recall: float
    iou: float
    truth_pixels: int
    predicted_pixels: int

    def numbers(self) -> dict[str, float | None]:
        """Return the ratios in percent by the names that gates use, None for NaN."""
        values = {
            "coverage": self.coverage,
            "risk": self.risk,
            "known_miou": self.known_miou,
            "unknown_precision": self.precision,
            "unknown_recall": self.recall,
            "unknown_iou": self.iou,
        }
        return {name: None if np.isnan(v) else 100.0 * v for name, v in values.items()}

    def to_json(self) -> dict[str, object]:
        """Return everything as a JSON object, ratios in percent."""
        pixels = {"truth_pixels": self.truth_pixels, "predicted_pixels": self.predicted_pixels}
        return {**self.numbers(), **pixels}


def score_unknown(matrix: Confusion, names: Sequence[str]) -> UnknownScores:
    """Compute the scores of a data set.

    Args:
        matrix: int64 [K + 1, K + 1], rows are true, columns are predicted, "unknown" is last.
        names: K category names.

    Raises:
        InputError: No pixel's truth is a word, or the names do not fit the matrix.
    """
    total, labeled = int(matrix.sum()), int(matrix[:, :-1].sum())
    both = int(matrix[-1, -1])
    truth, predicted = int(matrix[-1].sum()), int(matrix[:, -1].sum())
    wrong = labeled - int(np.trace(matrix[:-1, :-1]))
    known = matrix.copy()
    known[-1] = 0
    return UnknownScores(
        coverage=_ratio(labeled, total),
        risk=_ratio(wrong, labeled),
        known_miou=score_confusion(known, names).miou(),
        precision=_ratio(both, predicted) if truth else NOT_A_NUMBER,
        recall=_ratio(both, truth),
        iou=_ratio(both, truth + predicted - both) if truth else NOT_A_NUMBER,
        truth_pixels=truth,
        predicted_pixels=predicted,
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else NOT_A_NUMBER
