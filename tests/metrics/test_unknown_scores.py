"""Scores of "unknown", held against counts made by hand and against brute force."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.errors import InputError
from edge_ovss.metrics.miou import score_confusion
from edge_ovss.metrics.reported import EVALUATION
from edge_ovss.metrics.risk_coverage import (
    STEPS,
    RiskCoverage,
    count_steps,
    pack_tally,
    step_of,
    thresholds,
    unpack_tally,
)
from edge_ovss.metrics.tuning import (
    NO_WORD,
    TUNERS,
    LabelCounts,
    cross_validate,
    tune_each,
    tune_one,
)
from edge_ovss.metrics.unknown import score_unknown

NAMES = ("road", "car")
# Rows are true: road, car, none of them. Columns: road, car, unknown.
MATRIX = np.array([[6, 1, 3], [0, 4, 1], [2, 0, 8]], np.int64)
UNIT = (0.0, 1.0)


def test_scores_are_those_of_the_hand() -> None:
    found = score_unknown(MATRIX, NAMES)
    assert found.coverage == pytest.approx(13 / 25)
    assert found.risk == pytest.approx(3 / 13)
    assert found.known_miou == pytest.approx((6 / 10 + 4 / 6) / 2)
    assert (found.precision, found.recall, found.iou) == (8 / 12, 8 / 10, 8 / 14)
    assert set(found.numbers()) < set(EVALUATION)
    assert found.numbers()["unknown_recall"] == pytest.approx(80)


def test_a_mean_over_words_counts_unknown_as_missed_and_what_is_no_word_as_wrong() -> None:
    scores = score_confusion(MATRIX, NAMES)
    assert scores.names == NAMES
    assert scores.iou.tolist() == pytest.approx([6 / 12, 4 / 6])
    assert scores.pixel_accuracy == pytest.approx((6 + 4 + 8) / 25)
    assert scores.truth_pixels.tolist() == [10, 5]


def test_without_unknown_every_score_is_as_before() -> None:
    words = MATRIX[:2, :2]
    padded = np.zeros((3, 3), np.int64)
    padded[:2, :2] = words
    assert score_confusion(words, NAMES).to_json() == score_confusion(padded, NAMES).to_json()


def test_no_pixel_without_a_word_gives_no_precision() -> None:
    matrix = MATRIX.copy()
    matrix[2] = 0
    found = score_unknown(matrix, NAMES)
    assert math.isnan(found.precision)
    assert found.numbers()["unknown_precision"] is None
    assert found.numbers()["unknown_iou"] is None
    assert found.coverage == pytest.approx(11 / 15)


def test_all_unknown_has_no_risk() -> None:
    matrix = np.zeros((3, 3), np.int64)
    matrix[:, 2] = (4, 3, 2)
    found = score_unknown(matrix, NAMES)
    assert found.coverage == 0
    assert found.numbers()["risk"] is None


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (2, 3)])
def test_a_matrix_of_another_size_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="expected 2 categories"):
        score_confusion(np.ones(shape, np.int64), NAMES)


@pytest.mark.parametrize("bounds", [UNIT, (0.0, 100.0)])
def test_a_step_says_what_the_comparison_of_the_graph_says(bounds: tuple[float, float]) -> None:
    limits = thresholds(bounds)
    rng = np.random.default_rng(0)
    values = np.concatenate([limits, np.nextafter(limits, np.float32(-1)), rng.random(500)])
    values = np.maximum(values, bounds[0]).astype(np.float32)
    steps = step_of(values, bounds)
    for step in (0, 1, 2, 179, 500, STEPS):
        assert np.array_equal(values < limits[step], steps < step)
    assert step_of(np.array([np.nan, np.inf, -1.0]), bounds).tolist() == [STEPS, STEPS, 0]


def test_the_curve_is_that_of_the_sorted_pixels() -> None:
    rng = np.random.default_rng(1)
    values = np.round(rng.random(4000), 2).astype(np.float32)
    right = rng.random(4000) < values
    curve = RiskCoverage.of(count_steps(right, step_of(values, UNIT)))
    for step in (0, 250, 700):
        taken = values >= thresholds(UNIT)[step]
        assert curve.coverage[step] == pytest.approx(taken.mean())
        assert curve.risk[step] == pytest.approx((~right[taken]).mean())
    order = np.argsort(-values, kind="stable")
    exact = (np.cumsum(~right[order]) / np.arange(1, 4001)).mean()
    assert curve.area == pytest.approx(exact, abs=0.005)
    points = curve.to_json()["points"]
    assert isinstance(points, list)
    assert len(points) <= 101
    assert points[-1] == pytest.approx([100, 100 * (~right).mean()], abs=1e-3)


@pytest.mark.parametrize(("right", "area"), [(True, 0.0), (False, 1.0)])
def test_the_area_of_what_is_all_right_is_0(right: bool, area: float) -> None:
    steps = np.array([0, 5, STEPS])
    assert RiskCoverage.of(count_steps(np.full(3, right), steps)).area == pytest.approx(area)


def test_a_tally_comes_back_from_json() -> None:
    tally = count_steps(np.array([True, False, True]), np.array([3, 3, STEPS]))
    assert pack_tally(tally) == [[3, 1, 1], [STEPS, 0, 1]]
    assert np.array_equal(unpack_tally(pack_tally(tally)), tally)
    assert not unpack_tally([]).any()


def pixels(seed: int, words: int = 3, count: int = 400) -> tuple[NDArray[Any], ...]:
    """Pixels of which a word is the surer, the more often it is right; some are background."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, words + 1, count)
    labels = np.where(rng.random(count) < 0.7, truth, rng.integers(0, words, count))
    sure = np.where(truth == labels, 0.5, 0.2) + 0.1 * labels
    values = np.clip(sure + 0.2 * rng.random(count), 0, 1).astype(np.float32)
    return truth, labels, values


def brute(truth: NDArray[Any], labels: NDArray[Any], words: int, figure: str) -> float:
    """The figure by its definition, `words` being unknown."""
    if figure == "pixel_accuracy":
        return float((truth == labels).mean())
    both = [((truth == c) & (labels == c)).sum() for c in range(words + 1)]
    either = [((truth == c) | (labels == c)).sum() for c in range(words + 1)]
    return float(
        np.mean([b / e for b, e, c in zip(both, either, itertools.count()) if (truth == c).any()])
    )


@pytest.mark.parametrize("figure", ["pixel_accuracy", "miou"])
def test_counts_give_the_figure_of_the_pixels(figure: str) -> None:
    truth, labels, values = pixels(0)
    counts = LabelCounts.of(truth, labels, step_of(values, UNIT), words=3)
    for steps in ([0, 0, 0], [500, 500, 500], [100, 700, 300], [STEPS, 0, STEPS]):
        limits = np.append(thresholds(UNIT)[steps], -1)
        marked = np.where(values < limits[labels], 3, labels)
        found = counts.outcome(np.array(steps)).figure(figure)
        assert found.tolist() == pytest.approx([brute(truth, marked, 3, figure)])


@pytest.mark.parametrize("figure", ["pixel_accuracy", "miou"])
def test_what_is_found_is_the_best(figure: str) -> None:
    truth, labels, values = pixels(1, words=2)
    coarse = np.round(values, 1)  # few distinct values: every choice can be tried
    counts = LabelCounts.of(truth, labels, step_of(coarse, UNIT), words=2)
    tried = range(0, STEPS + 1, 100)
    best_one = max(counts.outcome(np.full(2, s)).figure(figure)[0] for s in tried)
    pairs = itertools.product(tried, tried)
    best_each = max(counts.outcome(np.array(pair)).figure(figure)[0] for pair in pairs)
    one, each = tune_one(counts, figure), tune_each(counts, figure)
    assert counts.outcome(one).figure(figure)[0] >= best_one - 1e-12
    found = counts.outcome(each).figure(figure)[0]
    assert found >= best_one - 1e-12
    assert found == pytest.approx(best_each, abs=0.002)


@pytest.mark.parametrize(("figure", "step"), [("pixel_accuracy", 0), ("miou", 101)])
@pytest.mark.parametrize("how", list(TUNERS))
def test_the_figure_that_is_asked_for_decides(how: str, figure: str, step: int) -> None:
    # Below step 101 there are 3 pixels of no word and 5 of the word, which has 50 more above: to
    # hide them costs 2 right pixels, and makes "unknown" 3 right of 8.
    truth, labels = np.array([1] * 3 + [0] * 55), np.zeros(58, np.int64)
    counts = LabelCounts.of(truth, labels, np.array([100] * 8 + [500] * 50), words=1)
    assert TUNERS[how](counts, figure).tolist() == [step]


def test_a_word_that_is_never_given_keeps_the_threshold_for_all() -> None:
    truth, labels, values = pixels(2)
    labels = np.where(labels == 1, 0, labels)
    counts = LabelCounts.of(truth, labels, step_of(values, UNIT), words=3)
    assert tune_each(counts, "pixel_accuracy")[1] == tune_one(counts, "pixel_accuracy")[0]


def test_a_background_stays_unknown_with_any_threshold() -> None:
    truth, labels = np.array([0, 1, 1]), np.array([1, 1, 0])  # one word; 1 is none of them
    counts = LabelCounts.of(truth, labels, np.array([900, 900, 100]), words=1)
    assert counts.background.tolist() == [1, 1]
    assert counts.labels[NO_WORD].sum() == 1
    assert counts.outcome(np.array([0])).figure("pixel_accuracy").tolist() == pytest.approx([1 / 3])
    assert counts.outcome(np.array([101])).unknown.tolist() == [3]


@pytest.mark.parametrize("how", list(TUNERS))
def test_cross_validation_scores_images_that_were_not_tuned_on(how: str) -> None:
    folds = []
    for seed in range(4):
        truth, labels, values = pixels(seed, count=60)
        folds.append(LabelCounts.of(truth, labels, step_of(values, UNIT), words=3))
    right = total = 0.0
    for held, fold in enumerate(folds):
        others = [f for place, f in enumerate(folds) if place != held]
        rest = others[0] + others[1] + others[2]
        share = fold.outcome(TUNERS[how](rest, "pixel_accuracy")).figure("pixel_accuracy")[0]
        right, total = right + share * 60, total + 60
    whole = folds[0] + folds[1] + folds[2] + folds[3]
    found = cross_validate(folds, how, "pixel_accuracy")
    assert found == pytest.approx(right / total)
    assert found <= whole.outcome(TUNERS[how](whole, "pixel_accuracy")).figure("pixel_accuracy")[0]
