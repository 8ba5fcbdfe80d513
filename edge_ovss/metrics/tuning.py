"""Find the thresholds of "unknown" that maximise a figure, from counts of pixels by measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from edge_ovss.metrics.risk_coverage import STEPS, from_above

Counts = NDArray[np.int64]

WRONG, RIGHT, NO_WORD = 0, 1, 2
"""What a labeled pixel is: a wrong word, the right one, or one whose truth is no word."""

_SWEEPS = 3


@dataclass(frozen=True)
class LabelCounts:
    """Counts of pixels from which any thresholds can be scored without the images.

    Attributes:
        labels: int64 [3, K, STEPS + 1], pixels by kind (`WRONG`, `RIGHT`, `NO_WORD`), by the word
            that they are labeled with without thresholds, and by step of the measure.
        truth: int64 [K + 1], pixels by their true word; K is none of them.
        background: int64 [2], pixels that are "unknown" without thresholds, because they are
            labeled with a background: those whose truth is a word, and those whose truth is none.
    """

    labels: Counts
    truth: Counts
    background: Counts

    @classmethod
    def of(cls, truth: Counts, labels: Counts, steps: Counts, *, words: int) -> LabelCounts:
        """Count pixels.

        Args:
            truth: int64 [n], words, or `words` where the truth is none of them.
            labels: int64 [n], words, or `words` for a background.
            steps: int64 [n], steps of the measure.
            words: K.
        """
        kind = np.where(truth == words, NO_WORD, np.where(truth == labels, RIGHT, WRONG))
        size, named = STEPS + 1, labels < words
        place = ((kind * words + labels) * size + steps)[named]
        counts = np.bincount(place, minlength=3 * words * size).reshape(3, words, size)
        return cls(
            counts.astype(np.int64),
            np.bincount(truth, minlength=words + 1).astype(np.int64),
            np.bincount(truth[~named] == words, minlength=2).astype(np.int64),
        )

    def __add__(self, other: LabelCounts) -> LabelCounts:
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return LabelCounts(*(one + two for one, two in pairs))

    def outcome(self, steps: Counts) -> Outcome:
        """Return what thresholds give.

        Args:
            steps: int64 [K] or [K, N], the step of each word's threshold, for N choices of them.
        """
        counts = from_above(self.labels)
        above = np.take_along_axis(
            counts, steps.reshape(1, len(steps), -1).repeat(len(counts), 0), axis=2
        )
        below = counts[:, :, :1] - above
        hidden = below.sum((0, 1)) + self.background.sum()
        return Outcome(
            right=above[RIGHT],
            labeled=above.sum(0),
            right_unknown=below[NO_WORD].sum(0) + self.background[1],
            unknown=hidden,
            truth=self.truth,
        )


@dataclass(frozen=True)
class Outcome:
    """Pixels with N choices of thresholds.

    Attributes:
        right: int64 [K, N], pixels rightly labeled with a word.
        labeled: int64 [K, N], pixels labeled with it.
        right_unknown: int64 [N], pixels rightly unknown.
        unknown: int64 [N], pixels that are unknown.
        truth: int64 [K + 1], pixels by their true word, which thresholds do not change.
    """

    right: Counts
    labeled: Counts
    right_unknown: Counts
    unknown: Counts
    truth: Counts

    def __add__(self, other: Outcome) -> Outcome:
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return Outcome(*(one + two for one, two in pairs))

    def figure(self, name: str) -> NDArray[np.float64]:
        """Return a figure of `metrics.reported.TUNED` for each choice, float64 [N] in [0, 1]."""
        if name == "pixel_accuracy":
            share: NDArray[np.float64] = (self.right.sum(0) + self.right_unknown) / self.truth.sum()
            return share
        right = np.concatenate([self.right, self.right_unknown[None]])
        given = np.concatenate([self.labeled, self.unknown[None]])
        present = self.truth > 0
        union = self.truth[present, None] + given[present] - right[present]
        mean: NDArray[np.float64] = (right[present] / union).mean(0)
        return mean


def tune_one(counts: LabelCounts, figure: str) -> Counts:
    """Return the one step that is best for all words, int64 [K]; the lowest of equals."""
    words = counts.labels.shape[1]
    choices = np.broadcast_to(np.arange(STEPS + 1), (words, STEPS + 1))
    best = int(np.argmax(counts.outcome(choices).figure(figure)))
    return np.full(words, best, np.int64)


def tune_each(counts: LabelCounts, figure: str) -> Counts:
    """Return a step for each word, int64 [K]: from the best one for all, word by word.

    A word that no pixel is labeled with keeps the one for all.
    """
    steps = tune_one(counts, figure)
    above = from_above(counts.labels)
    for _ in range(_SWEEPS):
        before = steps.copy()
        for word in np.flatnonzero(above[:, :, 0].sum(0)).tolist():
            steps[word] = _best_step(counts, above, steps, word, figure)
        if np.array_equal(before, steps):
            break
    return steps


def _best_step(counts: LabelCounts, above: Counts, steps: Counts, word: int, figure: str) -> int:
    """Return the best step of one word while the others keep theirs."""
    others = np.arange(len(steps)) != word
    kept = above[:, others, steps[others]]
    hidden = (above[:, others, 0] - kept).sum(1)
    own = above[:, word, :1] - above[:, word]
    outcome = Outcome(
        right=above[RIGHT, word][None],
        labeled=above[:, word].sum(0)[None],
        right_unknown=hidden[NO_WORD] + own[NO_WORD] + counts.background[1],
        unknown=hidden.sum() + own.sum(0) + counts.background.sum(),
        truth=counts.truth[[word, -1]],
    )
    # The other words add the same to every choice, so that the two that change decide.
    return int(np.argmax(outcome.figure(figure)))


TUNERS = {"one": tune_one, "each": tune_each}
"""One threshold for all words, or one for each."""


def cross_validate(folds: Sequence[LabelCounts], how: str, figure: str) -> float:
    """Return the figure on images that the thresholds were not tuned on, in [0, 1].

    Args:
        folds: Counts of at least two disjoint groups of images.
        how: One of `TUNERS`.
        figure: One of `metrics.reported.TUNED`.
    """
    held: Outcome | None = None
    for number, fold in enumerate(folds):
        others = [each for place, each in enumerate(folds) if place != number]
        found = fold.outcome(TUNERS[how](sum_counts(others), figure))
        held = found if held is None else held + found
    if held is None:
        message = "No folds"
        raise ValueError(message)
    return float(held.figure(figure)[0])


def sum_counts(folds: Sequence[LabelCounts]) -> LabelCounts:
    """Return the counts of all groups of images together, of which there is at least one."""
    total = folds[0]
    for fold in folds[1:]:
        total = total + fold
    return total
