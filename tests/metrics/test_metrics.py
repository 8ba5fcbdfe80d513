"""mIoU, its relatives, intervals and gates, held against the definitions written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.errors import GateError, InputError, UsageError
from edge_ovss.evaluation.gates import check_gates, parse_gates, require_passed
from edge_ovss.evaluation.latency import summarize
from edge_ovss.metrics.bootstrap import miou_change
from edge_ovss.metrics.confusion import (
    IGNORED,
    count_confusion,
    pack_confusion,
    unpack_confusion,
)
from edge_ovss.metrics.miou import Scores, score_confusion

Maps = list[tuple[NDArray[np.int32], NDArray[np.uint16]]]


def random_maps(seed: int, classes: int) -> Maps:
    """Pictures of different sizes; some categories are absent, some are only predicted."""
    rng = np.random.default_rng(seed)
    maps: Maps = []
    for _ in range(4):
        size = tuple(rng.integers(3, 40, 2))
        truth = rng.integers(0, max(1, classes * 2 // 3), size).astype(np.int32)
        wrong = rng.integers(0, max(1, classes - 1), size)
        prediction = np.where(rng.random(size) < 0.5, truth, wrong).astype(np.uint16)
        truth[rng.random(size) < 0.2] = IGNORED
        maps.append((truth, prediction))
    return maps


def summed(maps: Maps, classes: int) -> NDArray[np.int64]:
    total: NDArray[np.int64] = np.stack(
        [count_confusion(truth, prediction, classes=classes) for truth, prediction in maps]
    ).sum(0)
    return total


def by_definition(maps: Maps, classes: int) -> dict[str, float]:
    """The same numbers pixel by pixel, from sets of positions; no confusion matrix."""
    pairs = [
        (int(t), int(p))
        for truth, prediction in maps
        for t, p in zip(truth.ravel(), prediction.ravel(), strict=True)
        if t != IGNORED
    ]
    ious, accuracies, weighted, either = [], [], 0.0, 0
    for category in range(classes):
        true = {at for at, (t, _) in enumerate(pairs) if t == category}
        predicted = {at for at, (_, p) in enumerate(pairs) if p == category}
        either += bool(true | predicted)
        if true:
            ious.append(len(true & predicted) / len(true | predicted))
            accuracies.append(len(true & predicted) / len(true))
            weighted += ious[-1] * len(true) / len(pairs)
    return {
        "d2-main": sum(ious) / len(ious),
        "d2-0.6+mmseg": sum(ious) / either,
        "pixel_accuracy": sum(t == p for t, p in pairs) / len(pairs),
        "mean_accuracy": sum(accuracies) / len(accuracies),
        "fw_iou": weighted,
    }


@pytest.mark.parametrize("classes", [1, 2, 7, 21, 300])
@pytest.mark.parametrize("seed", [0, 1])
def test_scores_agree_with_the_definition(classes: int, seed: int) -> None:
    maps = random_maps(seed, classes)
    scores = score_confusion(summed(maps, classes), [str(i) for i in range(classes)])
    expected = by_definition(maps, classes)
    for protocol in ("d2-main", "d2-0.6+mmseg"):
        assert scores.miou(protocol) == pytest.approx(expected[protocol], abs=1e-9)
    for name in ("pixel_accuracy", "mean_accuracy", "fw_iou"):
        assert getattr(scores, name) == pytest.approx(expected[name], abs=1e-9)


def test_the_two_denominators_differ_by_what_is_only_predicted() -> None:
    truth = np.array([[0, 0, 1, 1]], np.int32)
    prediction = np.array([[0, 0, 1, 2]], np.uint8)
    scores = score_confusion(count_confusion(truth, prediction, classes=4), list("abcd"))
    assert scores.miou("d2-main") == pytest.approx((1 + 0.5) / 2)
    assert scores.miou("d2-0.6+mmseg") == pytest.approx((1 + 0.5) / 3)
    assert scores.iou[2] == 0
    assert math.isnan(scores.iou[3])


def test_predictions_on_ignored_pixels_are_not_counted() -> None:
    truth = np.array([[0, IGNORED]], np.int32)
    scores = score_confusion(
        count_confusion(truth, np.array([[0, 1]], np.uint8), classes=2), ["a", "b"]
    )
    assert scores.predicted_pixels.tolist() == [1, 0]
    assert scores.miou("d2-0.6+mmseg") == 1.0


def test_counts_above_32_bits_do_not_overflow() -> None:
    matrix = np.array([[3_000_000_000, 0], [1_000_000_000, 2_000_000_000]], np.int64)
    scores = score_confusion(matrix, ["a", "b"])
    assert scores.miou() == pytest.approx((3 / 4 + 2 / 3) / 2, abs=1e-12)


def test_sizes_that_differ_are_refused() -> None:
    with pytest.raises(InputError, match="2 x 3 and the prediction 3 x 2"):
        count_confusion(np.zeros((2, 3), np.int32), np.zeros((3, 2), np.uint8), classes=1)


def test_ids_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"\[7\]"):
        count_confusion(np.full((1, 1), 7, np.int32), np.zeros((1, 1), np.uint8), classes=7)


def test_no_labeled_pixel_is_no_score() -> None:
    with pytest.raises(InputError, match="nothing to score"):
        score_confusion(np.zeros((2, 2), np.int64), ["a", "b"])


def test_an_unknown_protocol_names_a_close_one() -> None:
    scores = score_confusion(np.eye(2, dtype=np.int64), ["a", "b"])
    with pytest.raises(UsageError, match="Did you mean 'd2-main'"):
        scores.miou("d2_main")


def test_a_confusion_survives_packing() -> None:
    matrix = summed(random_maps(3, 9), 9)
    assert np.array_equal(unpack_confusion(pack_confusion(matrix), classes=9), matrix)


def test_to_json_has_no_nan() -> None:
    scores: Scores = score_confusion(np.diag(np.array([1, 0], np.int64)), ["a", "b"])
    document = scores.to_json()
    categories = document["by_category"]
    assert isinstance(categories, list)
    assert categories[1]["iou"] is None
    assert document["miou"] == 100.0


def test_equal_runs_have_no_change_and_no_width() -> None:
    matrices = [count_confusion(*maps, classes=5) for maps in random_maps(1, 5)]
    change = miou_change(matrices, matrices)
    assert (change.points, change.low, change.high) == (0, 0, 0)


@pytest.mark.parametrize("protocol", ["d2-main", "d2-0.6+mmseg"])
def test_the_change_is_the_difference_of_the_two_scores(protocol: str) -> None:
    before = [count_confusion(*maps, classes=5) for maps in random_maps(1, 5)]
    after = [count_confusion(*maps, classes=5) for maps in random_maps(2, 5)]
    change = miou_change(before, after, protocol=protocol)
    names = list("abcde")
    expected = [
        100 * score_confusion(np.stack(m).sum(0), names).miou(protocol) for m in (before, after)
    ]
    assert change.points == pytest.approx(expected[1] - expected[0], abs=1e-9)
    assert change.low <= change.points <= change.high
    assert change == miou_change(before, after, protocol=protocol)


def test_the_interval_holds_95_of_100_resampled_data_sets() -> None:
    maps = [pair for seed in range(12) for pair in random_maps(seed, 5)]
    matrices = [count_confusion(*pair, classes=5) for pair in maps]
    before, after = matrices[::2], matrices[1::2]
    count = len(before)
    draws = np.random.default_rng(7).multinomial(count, [1 / count] * count, size=1000)
    names = list("abcde")

    def miou(matrices: list[NDArray[np.int64]], draw: NDArray[np.int64]) -> float:
        total = np.einsum("p,pij->ij", draw, np.stack(matrices))
        return 100 * score_confusion(total, names).miou()

    changes = sorted(miou(after, draw) - miou(before, draw) for draw in draws)
    found = miou_change(before, after, seed=7)
    assert (found.level, found.rounds, found.pictures) == (0.95, 1000, count)
    # 25 of 1000 are below and 25 above; the next ones on either side are not the same numbers.
    assert changes[24] <= found.low <= changes[25]
    assert changes[974] <= found.high <= changes[975]
    assert changes[20] < changes[24]
    assert changes[25] < changes[29]


def test_comparing_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="same images"):
        miou_change([], [])


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("miou>=30", True),
        ("miou>30", False),
        (" miou_drop <= 0.5 , miou==30", True),
        ("miou_drop<0.25", False),
        ("miou_drop<=0.25", True),
        ("miou<=29.999", False),
        ("miou==30.001", False),
        ("missing>=0", False),
        ("nan>=1", False),
        ("nan==1", False),
        ("nan<1", False),
        ("nan>1", False),
        ("nan<=1", False),
    ],
)
def test_gates_hold_or_fail(text: str, passes: bool) -> None:
    numbers = {"miou": 30.0, "miou_drop": 0.25, "missing": None, "nan": math.nan}
    verdicts = check_gates(parse_gates(text), numbers)
    assert all(verdict.passed for verdict in verdicts) is passes
    if passes:
        require_passed(verdicts)
    else:
        with pytest.raises(GateError) as caught:
            require_passed(verdicts)
        assert caught.value.status == 6


def test_a_failed_gate_says_by_how_much() -> None:
    (verdict,) = check_gates(parse_gates("p99_ms<=50"), {"p99_ms": 62.5})
    assert verdict.text == "p99_ms<=50: FAILED, 62.5 misses the limit by 12.5"


@pytest.mark.parametrize("text", ["", "miou", "miou<=", "miou=3", "miou<=three", "a<=1,,b>=2"])
def test_malformed_gates_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="malformed"):
        parse_gates(text)


def test_a_gate_on_an_unknown_number_lists_what_there_is() -> None:
    with pytest.raises(UsageError, match="p99_ms") as caught:
        check_gates(parse_gates("p99<=50"), {"p99_ms": 1.0})
    assert "Did you mean 'p99_ms'" in str(caught.value)


def test_percentiles_are_times_that_were_measured() -> None:
    times = [float(value) for value in range(1, 101)]
    assert summarize(times) == {"mean": 50.5, "p50": 51.0, "p90": 91.0, "p99": 100.0, "max": 100.0}
    assert summarize([4.0])["p99"] == 4.0


def test_the_interval_depends_on_the_seed_which_is_0_unless_given() -> None:
    matrices = [count_confusion(*pair, classes=5) for n in range(12) for pair in random_maps(n, 5)]
    before, after = matrices[::2], matrices[1::2]
    found = miou_change(before, after)
    assert found == miou_change(before, after, seed=0)
    other = miou_change(before, after, seed=1)
    assert (found.low, found.high) != (other.low, other.high)
