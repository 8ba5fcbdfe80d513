"""Labels that may be unknown are compared where rounding does not decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_ovss.bundle.decisive import is_decided_with_unknown, rank_outputs, with_unknown
from edge_ovss.datasets.alignment import Alignment
from edge_ovss.metrics.label_comparison import compare_labels

NAMES = ("dog", "cat", "cow")
NONE = 255


def compared(scores: list[list[float]], given: list[int], thresholds: list[float]) -> Any:  # noqa: ANN401
    """Compare given labels with those of scores, by output and pixel."""
    array = np.asarray(scores, np.float32)[:, None, :]
    labels = np.array([given], np.uint8)
    ranking = rank_outputs(array, (0, 1, 2), (1, len(given)), labels)
    expected = array.argmax(0).astype(np.uint8)
    steps = np.asarray(thresholds, np.float32)
    return compare_labels(labels, expected, ranking, names=NAMES, thresholds=steps)


CLEAR = [[0.9, 0.1, 0.1], [0.1, 0.4, 0.1], [0.1, 0.1, 0.2]]


def test_below_the_threshold_unknown_is_right_and_a_word_is_not() -> None:
    thresholds = [0.5, 0.5, 0.1]
    assert compared(CLEAR, [0, NONE, 2], thresholds).agreement == 1
    found = compared(CLEAR, [0, 1, 2], thresholds)
    assert (found.agreement, found.counted) == (pytest.approx(2 / 3), 1)
    assert found.flips[0].outputs == ("(unknown)", "cat")
    found = compared(CLEAR, [NONE, NONE, 2], thresholds)
    assert found.flips[0].outputs == ("dog", "(unknown)")


def test_at_the_threshold_both_are_right() -> None:
    scores = [[0.5, 0.5, 0.5], [0.1, 0.1, 0.1], [0.1, 0.1, 0.1]]
    found = compared(scores, [0, NONE, 1], [0.5002, 0.1, 0.1])
    assert found.counted == pytest.approx(1 / 3)
    assert found.agreement == 0
    assert found.flips[0].outputs == ("(unknown)", "cat")


def test_a_tie_counts_where_no_word_of_it_reaches_its_threshold() -> None:
    scores = [[0.3, 0.3, 0.3], [0.3, 0.3, 0.3], [0.0, 0.0, 0.0]]
    found = compared(scores, [NONE, 0, 1], [0.6, 0.7, 0.1])
    assert (found.counted, found.agreement) == (1, pytest.approx(1 / 3))
    # One of the two may be known: either of them, or unknown.
    found = compared(scores, [NONE, 1, 0], [0.6, 0.2, 0.1])
    assert found.counted == pytest.approx(1 / 3)
    assert found.flips[0].outputs[1] == "dog"


def test_thresholds_of_0_change_nothing() -> None:
    given = [0, 1, 1]
    with_zeros, without = compared(CLEAR, given, [0, 0, 0]), compared(CLEAR, given, [0, 0, 0])
    assert with_zeros == without
    assert with_zeros.agreement == pytest.approx(2 / 3)
    assert compared(CLEAR, [NONE, 1, 2], [0, 0, 0]).flips[0].outputs == ("dog", "(unknown)")


@pytest.mark.parametrize(
    ("measure", "threshold", "decided", "counts"),
    [
        (0.6, 0.5, True, True),
        (0.4, 0.5, True, True),
        (0.5004, 0.5, True, False),
        (0.4996, 0.5, True, False),
        (0.6, 0.5, False, False),
        (0.4, 0.5, False, True),
        (0.0, 0.0, True, True),
        (1e-7, 0.0, True, True),
        (5e-7, 1e-6, True, False),
    ],
)
def test_what_counts(measure: float, threshold: float, decided: bool, counts: bool) -> None:
    found = is_decided_with_unknown(
        np.zeros((1, 1), np.uint8),
        np.full((1, 1), measure, np.float32),
        np.full((1, 1), decided),
        np.full(2, threshold, np.float32),
        1e-3,
    )
    assert found.tolist() == [[counts]]


@pytest.mark.parametrize("outputs", [1, 254, 255, 256])
def test_the_label_of_unknown_has_a_place_of_its_own(outputs: int) -> None:
    dtype = np.uint8 if outputs <= 255 else np.uint16
    labels = np.array([[0, outputs - 1]], dtype)
    thresholds = np.zeros(outputs, np.float32)
    thresholds[-1] = 0.5
    marked = with_unknown(labels, np.full((1, 2), 0.2, np.float32), thresholds)
    unknown = np.iinfo(dtype).max
    assert marked.tolist() == ([[unknown, unknown]] if outputs == 1 else [[0, unknown]])
    assert marked.dtype == dtype
    alignment = Alignment(tuple(map(str, range(outputs))), unknown=True)
    assert alignment.map_prediction(marked)[0, 1] == outputs


def test_close_to_a_threshold_is_no_tie_of_two_words() -> None:
    found = compared([[0.5], [0.2], [0.1]], [0], [0.5, 0.5, 0.5])
    assert (found.counted, found.ties) == (0, ())
