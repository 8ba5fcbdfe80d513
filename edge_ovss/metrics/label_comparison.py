"""Compare labels with a reference whose scores are known: which differ, and which are undecided.

A pixel does not count where the given output and the reference's own are both within the tolerance
of the best score: either is right there. Everywhere else a label that differs is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.contract import UNKNOWN
from edge_ovss.bundle.decisive import (
    SCORE_FLOOR,
    Ranking,
    Scores,
    rank_outputs,
    tolerance_of,
    with_unknown,
)
from edge_ovss.vocabulary import Vocabulary

MOST_PAIRS = 5
UNKNOWN_NAME = "(unknown)"


@dataclass(frozen=True)
class Pair:
    """Two outputs, and the share of all pixels that concerns them, 0 to 1."""

    outputs: tuple[str, str]
    share: float

    def to_json(self) -> dict[str, object]:
        """Return the pair as a JSON object."""
        return {"outputs": list(self.outputs), "share": self.share}


@dataclass(frozen=True)
class LabelComparison:
    """The labels of one frame compared with those of a reference.

    Attributes:
        agreement: Share of equal labels among the pixels that count; 1 if none does.
        counted: Share of pixels that count.
        ties: Pairs of outputs between which the reference is undecided, the most frequent first.
        flips: Pairs (expected, given) of wrong labels that count, the most frequent first.
    """

    agreement: float
    counted: float
    ties: tuple[Pair, ...] = ()
    flips: tuple[Pair, ...] = ()


def compare_labels(
    given: NDArray[Any],
    expected: NDArray[Any],
    ranking: Ranking,
    *,
    precision: str = "fp32",
    names: Sequence[str],
    thresholds: NDArray[np.float32] | None = None,
) -> LabelComparison:
    """Compare labels [H, W] of a backend with those of a reference.

    Args:
        given: Labels of the backend.
        expected: Labels of the reference, none of them unknown.
        ranking: Ranking of the reference's scores, made with `given`.
        precision: Precision in which the backend computes.
        names: Names of the K outputs.
        thresholds: Of "unknown", float32 [K], with which the labels of the backend were made; the
            best score is what they are compared with. None for none.
    """
    tolerance = tolerance_of(ranking.lead, precision)
    undecided = ranking.lead <= tolerance
    neutral = undecided & (ranking.behind <= tolerance)
    if thresholds is not None and thresholds.any():
        neutral = _neutral_with_unknown(given, ranking, thresholds, tolerance)
        expected = with_unknown(expected, ranking.best, thresholds)
    counts, differs = ~neutral, given != expected
    wrong = differs & counts
    number = int(counts.sum())
    # A pixel that is undecided because it is close to its threshold is no tie of two outputs.
    tied = neutral & undecided & (ranking.second >= 0)
    return LabelComparison(
        agreement=1.0 - float(wrong.sum()) / number if number else 1.0,
        counted=number / given.size,
        ties=count_pairs(
            np.minimum(ranking.first, ranking.second)[tied],
            np.maximum(ranking.first, ranking.second)[tied],
            names,
            pixels=given.size,
        ),
        flips=count_pairs(expected[wrong], given[wrong], names, pixels=given.size),
    )


def _neutral_with_unknown(
    given: NDArray[Any], ranking: Ranking, thresholds: NDArray[np.float32], tolerance: float
) -> NDArray[np.bool_]:
    """Return where rounding may give several labels and the given one is among them, [H, W].

    What may be the best output is the first and, where the lead is rounding, the second. Such an
    output is right if its score may reach its threshold, and "unknown" is if one may not.
    """
    room = tolerance * np.maximum(ranking.best, SCORE_FLOOR)
    most, least = ranking.best + room, ranking.best - room
    undecided = (ranking.lead <= tolerance) & (ranking.second >= 0)
    first = thresholds[np.maximum(ranking.first, 0)]
    second = np.where(undecided, thresholds[np.maximum(ranking.second, 0)], first)
    lowest, highest = np.minimum(first, second), np.maximum(first, second)
    may_be_known = most >= lowest
    may_be_unknown = (least < highest) & (highest > 0)
    unknown = given == UNKNOWN[str(given.dtype)]
    limits = thresholds[np.where(unknown, 0, given)]
    right = np.where(
        unknown, may_be_unknown, (ranking.behind <= tolerance) & (most >= limits)
    ).astype(np.bool_)
    several = may_be_known & (undecided | may_be_unknown)
    neutral: NDArray[np.bool_] = several & right
    return neutral


def compare_by_scores(
    given: NDArray[Any],
    expected: NDArray[Any],
    scores: Scores,
    vocabulary: Vocabulary,
    *,
    precision: str = "fp32",
    thresholds: NDArray[np.float32] | None = None,
) -> tuple[LabelComparison, Ranking]:
    """Rank a reference's scores, float32 [T, h, w], and compare labels as `compare_labels` does."""
    size = (given.shape[0], given.shape[1])
    ranking = rank_outputs(scores, vocabulary.output_map, size, given)
    compared = compare_labels(
        given,
        expected,
        ranking,
        precision=precision,
        names=vocabulary.outputs,
        thresholds=thresholds,
    )
    return compared, ranking


def count_pairs(
    first: NDArray[Any], second: NDArray[Any], names: Sequence[str], *, pixels: int
) -> tuple[Pair, ...]:
    """Count pairs of outputs, given as two arrays [n]; return the most frequent ones."""
    both = np.stack([first.astype(np.int64), second.astype(np.int64)], 1)
    pairs, counts = np.unique(both, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_PAIRS]
    return tuple(
        Pair((_name(pairs[i, 0], names), _name(pairs[i, 1], names)), float(counts[i]) / pixels)
        for i in order
    )


def _name(label: int, names: Sequence[str]) -> str:
    """Return the name of an output; what is none of them is unknown."""
    return names[label] if label < len(names) else UNKNOWN_NAME


def join_pairs(frames: Iterable[tuple[int, Sequence[Pair]]]) -> tuple[Pair, ...]:
    """Merge the pairs of several frames, given with their pixel counts; most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    total = 0
    for pixels, pairs in frames:
        total += pixels
        for pair in pairs:
            counts[pair.outputs] += round(pair.share * pixels)
    return tuple(Pair(names, count / total) for names, count in counts.most_common())


def ties_text(ties: Sequence[Mapping[str, Any]]) -> str:
    """Return a warning about ties, given in the form of `Pair.to_json`."""
    pairs = ", ".join(
        f"{tie['outputs'][0]!r} and {tie['outputs'][1]!r} ({100 * tie['share']:.3g} %)"
        for tie in ties
    )
    return (
        f"The model cannot tell apart, on the given share of pixels: {pairs}. Their scores differ "
        "there only by rounding, and which of the two wins is chance. If neither is visible, add a "
        "class for what is; if both mean the same, make them one category."
    )
