"""A label counts where the reference is decided: there every wrong one is, elsewhere none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_ovss.bundle.decisive import (
    FEW,
    lead_of,
    pack_lead,
    rank_outputs,
    tolerance_of,
    unpack_lead,
)
from edge_ovss.bundle.reference import Reference, Rule, judge, rule_for
from edge_ovss.bundle.tolerances import LIMITS
from edge_ovss.calibration import accuracy
from edge_ovss.calibration.accuracy import Accuracy, Baseline
from edge_ovss.calibration.calibrate import _lead_below_float32
from edge_ovss.metrics.confusion import count_confusion
from edge_ovss.metrics.label_comparison import (
    LabelComparison,
    Pair,
    compare_labels,
    join_pairs,
    ties_text,
)
from edge_ovss.metrics.tensors import compare_tensors
from edge_ovss.parity.results import BackendParity, FrameParity
from edge_ovss.runtime.backends import compute_precision

Array = Any
NAMES = ("dog", "cat", "cow")


def row(*values: float) -> Array:
    return np.array([values], np.float32)


def ranked(scores: Array, given: Array, output_map: tuple[int, ...] = (0, 1, 2)) -> Any:  # noqa: ANN401
    return rank_outputs(np.asarray(scores, np.float32), output_map, given.shape, given)


def test_a_lead_is_relative_to_the_score_but_not_below_the_floor() -> None:
    best, second = row(0.8, 0.5, 1e-3, 1e-6, 1e-7, 0.0), row(0.4, 0.5, 0.0, 0.0, 0.0, 0.0)
    assert lead_of(best, second)[0] == pytest.approx([0.5, 0, 1, 1e-3, 1e-4, 0])


def test_scores_above_1_have_leads_too() -> None:
    assert lead_of(row(8.0), row(7.9))[0] == pytest.approx([0.0125], rel=1e-4)


def test_what_is_not_a_number_counts() -> None:
    nan = float("nan")
    assert lead_of(row(nan, 0.5, nan), row(0.1, nan, nan))[0].tolist() == [1, 1, 1]


@pytest.mark.parametrize("precision", LIMITS)
def test_the_tolerance_is_that_of_the_precision_on_both_sides(precision: str) -> None:
    limit = {"fp32": 0.001, "fp16": 0.02, "bf16": 0.1, "int8": 0.1}[precision]
    lead = np.full((10, 10), 1.0)
    lead[0] = [0, 0, limit / 2, limit * 0.999, limit, limit * 1.001, limit * 2, 1, 1, 1]
    tolerance = tolerance_of(lead, precision)
    assert (lead > tolerance)[0].tolist() == [False] * 5 + [True] * 5


def test_a_precision_that_is_not_known_has_the_tolerance_of_float32() -> None:
    assert tolerance_of(np.full((4, 4), 0.5), "fp4") == LIMITS["fp32"].lead


@pytest.mark.parametrize(("pixels", "tolerance"), [(1, 0.1), (0, 0.001)])
def test_where_a_coarse_tolerance_leaves_nearly_nothing_that_of_float32_is_used(
    pixels: int, tolerance: float
) -> None:
    lead = np.full(100, 0.05)
    lead[:pixels] = 0.9
    assert FEW == 0.01
    assert tolerance_of(lead, "int8") == tolerance


def test_a_lead_survives_being_stored() -> None:
    steps = np.arange(65536, dtype=np.uint16)
    lead = unpack_lead(steps)
    assert lead[[0, -1]].tolist() == [0, 1]
    assert np.array_equal(pack_lead(lead.astype(np.float32)), steps)
    assert int(np.argmax(lead > LIMITS["fp32"].lead)) == 66  # what other readers compare with


def test_outputs_are_ranked_not_the_categories_that_share_one() -> None:
    scores = row(0.9, 0.1), row(0.89, 0.3), row(0.2, 0.6)
    ranking = ranked(np.stack(scores), np.zeros((1, 2), np.uint8), output_map=(0, 0, 1))
    assert ranking.first.tolist() == [[0, 1]]
    assert ranking.second.tolist() == [[1, 0]]
    assert ranking.lead[0] == pytest.approx([(0.9 - 0.2) / 0.9, 0.5])
    assert ranking.behind[0] == pytest.approx([0, 0.5])


def test_an_output_overtaken_by_another_of_its_own_categories_is_no_rival_of_itself() -> None:
    scores = np.stack([row(0.3), row(0.5), row(0.7)])
    ranking = ranked(scores, np.full((1, 1), 1), output_map=(0, 1, 0))
    assert (ranking.first.item(), ranking.second.item()) == (0, 1)
    assert ranking.lead.item() == pytest.approx(0.2 / 0.7)


def test_rankings_are_those_of_sorting() -> None:
    rng = np.random.default_rng(0)
    scores, output_map = rng.random((9, 5, 7), np.float32), (0, 1, 2, 1, 3, 0, 2, 3, 3)
    given = rng.integers(0, 4, (5, 7))
    ranking = ranked(scores, given, output_map)
    of_output = np.stack([scores[np.array(output_map) == k].max(0) for k in range(4)])
    order = np.sort(of_output, 0)[::-1]
    assert np.array_equal(ranking.first, of_output.argmax(0))
    assert np.array_equal(ranking.second, np.argsort(-of_output, 0)[1])
    assert np.allclose(ranking.lead, (order[0] - order[1]) / order[0])
    reached = np.take_along_axis(of_output, given[None], 0)[0]
    assert np.allclose(ranking.behind, (order[0] - reached) / order[0])


def test_one_output_has_no_rival_and_rejected_ones_score_nothing() -> None:
    zero = np.zeros((1, 1), np.uint8)
    assert ranked([row(1e-8), row(2e-8)], zero, output_map=(0, 0)).lead.item() == 1
    ranking = ranked([row(0.5), row(0.0), row(0.0)], zero)
    assert (ranking.first.item(), ranking.second.item(), ranking.lead.item()) == (0, -1, 1)
    nothing = ranked([row(0.0), row(0.0), row(0.0)], zero)
    assert (nothing.first.item(), nothing.lead.item(), nothing.behind.item()) == (-1, 0, 0)


def test_scores_that_are_not_finite_excuse_nothing() -> None:
    ranking = ranked([row(0.5, np.nan), row(0.5, 0.5)], np.zeros((1, 2)), output_map=(0, 1))
    assert ranking.lead.tolist() == [[1, 1]]


def test_scores_are_resized_as_the_graph_does_it() -> None:
    torch = pytest.importorskip("torch")
    scores = np.random.default_rng(1).random((3, 6, 8)).astype(np.float32)
    for size in ((1, 1), (3, 4), (13, 29), (48, 64)):
        resized = torch.nn.functional.interpolate(
            torch.from_numpy(scores)[None], size, mode="bilinear"
        )
        top = resized[0].topk(2, 0).values.numpy()
        ranking = ranked(scores, np.zeros(size, np.uint8))
        assert np.allclose(ranking.lead, (top[0] - top[1]) / top[0], atol=1e-5)


def compared(scores: Array, expected: list[int], given: list[int], precision: str = "fp32") -> Any:  # noqa: ANN401
    labels = np.array([given], np.uint8)
    ranking = ranked(scores, labels)
    wanted = np.array([expected], np.uint8)
    return compare_labels(labels, wanted, ranking, precision=precision, names=NAMES)


TIED = np.stack([row(0.5, 0.5, 0.9, 0.9), row(0.4999, 0.4999, 0.1, 0.1), row(0.1, 0.1, 0.2, 0.2)])


def test_tied_outputs_may_be_exchanged_and_are_counted_and_named() -> None:
    result = compared(TIED, [0, 0, 0, 0], [1, 0, 0, 0])
    assert (result.agreement, result.counted) == (1.0, 0.5)
    assert result.ties == (Pair(("dog", "cat"), 0.5),)
    assert result.flips == ()


def test_a_third_output_is_wrong_where_two_are_tied() -> None:
    result = compared(TIED, [0, 0, 0, 0], [2, 0, 0, 0])
    assert (result.agreement, result.counted) == (pytest.approx(2 / 3), 0.75)
    assert result.flips == (Pair(("dog", "cow"), 0.25),)


def test_a_label_that_is_decided_is_wrong_when_it_differs() -> None:
    result = compared(TIED, [0, 0, 0, 0], [0, 0, 2, 1])
    assert (result.agreement, result.counted) == (0.0, 0.5)
    assert {pair.outputs for pair in result.flips} == {("dog", "cow"), ("dog", "cat")}


def test_what_float32_decides_a_coarser_precision_may_leave_open() -> None:
    scores = np.stack([row(0.5, 0.9), row(0.495, 0.1), row(0.1, 0.1)])
    assert compared(scores, [0, 0], [1, 0]).agreement == 0.5
    assert compared(scores, [0, 0], [1, 0], "fp16").agreement == 1.0


def test_where_nothing_counts_nothing_is_claimed() -> None:
    result = compared(np.stack([row(1e-8), row(2e-8), row(0)]), [1], [0])
    assert (result.agreement, result.counted) == (1.0, 0.0)


def test_pairs_of_frames_are_weighted_by_their_pixels() -> None:
    first = (100, [Pair(("a", "b"), 0.5), Pair(("a", "c"), 0.1)])
    joined = join_pairs([first, (300, [Pair(("a", "c"), 0.2)])])
    assert [pair.outputs for pair in joined] == [("a", "c"), ("a", "b")]
    assert [pair.share for pair in joined] == pytest.approx([0.175, 0.125])


def test_ties_are_said_with_words_and_shares() -> None:
    text = ties_text([Pair(("dog", "cat"), 0.412).to_json()])
    assert "'dog' and 'cat' (41.2 %)" in text
    assert "{" not in text


def result_of(labels: Array, alive: tuple[int, ...] = (0, 1)) -> Any:  # noqa: ANN401
    return SimpleNamespace(labels=labels, alive=np.array(alive), counts=np.array([2, 2, 2]))


def reference_of(lead: Array | None, labels: Array) -> Reference:
    frame = np.zeros((*labels.shape, 3), np.uint8)
    return Reference(frame, labels, np.array([0, 1]), np.array([2, 2, 2]), lead)


def judged(lead: Array | None, flipped: slice, **rule: Any) -> Any:  # noqa: ANN401
    labels = np.zeros((100, 100), np.uint8)
    given = labels.copy().ravel()
    given[flipped] = 1
    asked = Rule(0.999, same_survivors=True, **rule)
    return judge(result_of(given.reshape(100, 100)), reference_of(lead, labels), asked)


def half_decided() -> Array:
    lead = np.ones((100, 100))
    lead[:50] = 1e-3
    return lead


def test_labels_that_are_undecided_do_not_count() -> None:
    verdict = judged(half_decided(), slice(0, 5000))
    assert verdict
    assert (verdict.agreement, verdict.undecided) == (1.0, 0.5)


@pytest.mark.parametrize(("wrong", "passes"), [(5, True), (6, False)])
def test_of_those_that_count_999_in_1000_must_be_equal(wrong: int, passes: bool) -> None:
    verdict = judged(half_decided(), slice(10000 - wrong, 10000))
    assert bool(verdict) is passes
    assert verdict.agreement == pytest.approx(1 - wrong / 5000)


def test_a_bundle_without_leads_is_judged_by_every_pixel() -> None:
    assert judged(None, slice(0, 10))
    verdict = judged(None, slice(0, 11))
    assert not verdict
    assert verdict.undecided is None


def test_where_no_label_counts_the_survivors_decide_in_every_precision() -> None:
    labels, nothing = np.zeros((10, 10), np.uint8), np.zeros((10, 10))
    rule = Rule(0.98, same_survivors=False, precision="int8")
    reference = reference_of(nothing, labels)
    verdict = judge(result_of(labels + 1), reference, rule)
    assert verdict
    assert verdict.undecided == 1.0
    assert not judge(result_of(labels, alive=(0, 2)), reference, rule)


def test_survivors_count_in_float32_and_not_below() -> None:
    labels, lead = np.zeros((10, 10), np.uint8), np.ones((10, 10))
    other, reference = result_of(labels, alive=(0, 2)), reference_of(lead, labels)
    assert not judge(other, reference, Rule(0.999, same_survivors=True))
    assert judge(other, reference, Rule(0.999, same_survivors=False))
    counts = result_of(labels)
    counts.counts = np.array([2, 2, 1])
    assert not judge(counts, reference, Rule(0.999, same_survivors=True))


def manifest_of(precision: str, least: float) -> Any:  # noqa: ANN401
    reference = SimpleNamespace(min_label_agreement=least)
    return SimpleNamespace(precision=precision, reference=reference)


@pytest.mark.parametrize(
    ("precision", "backend", "least", "expected"),
    [
        ("fp32", "", 1e-300, (0.999, True, "fp32")),
        ("fp32", "native", 0.99999, (0.99999, True, "fp32")),
        ("fp16", "", 1e-300, (0.995, False, "fp16")),
        ("int8", "", 1e-300, (0.98, False, "int8")),
        ("int8", "", 0.999, (0.999, False, "int8")),  # float32 that says that it is INT8
        ("bf16", "", 0.5, (0.97, False, "bf16")),
        ("fp4", "", 1e-300, (0.999, True, "fp32")),
        ("INT8", "", 0.9, (0.999, True, "fp32")),
        ("fp32", "openvino-bf16", 0.999, (0.97, False, "bf16")),
        ("fp32", "openvino-bf16", 1e-300, (0.97, False, "bf16")),
        ("int8", "openvino-bf16", 0.98, (0.98, False, "int8")),
        ("fp32", "tensorrt-rtx", 0.5, (0.999, True, "fp32")),
    ],
)
def test_a_manifest_may_ask_for_more_but_not_for_less(
    precision: str, backend: str, least: float, expected: tuple[float, bool, str]
) -> None:
    rule = rule_for(manifest_of(precision, least), compute_precision(backend, precision))
    assert (rule.min_agreement, rule.same_survivors, rule.precision) == expected
    assert LIMITS[rule.precision].reference_agreement <= rule.min_agreement


def held(precision: str, agreement: float, **frame: Any) -> BackendParity:  # noqa: ANN401
    whole = count_confusion(np.zeros((1, 1), int), np.zeros((1, 1), int), classes=1)
    scores = compare_tensors(np.ones(2), np.ones(2))
    labels = LabelComparison(agreement, frame.pop("counted", 1.0), flips=frame.pop("flips", ()))
    one = FrameParity("a", (10, 10), labels, scores, True, whole, whole)
    tolerance = LIMITS[precision].torch
    frames = (replace(one, **frame),)
    return BackendParity("b", "0", precision, "x", ("road",), False, frames, tolerance)


@pytest.mark.parametrize(
    ("precision", "least", "error"),
    [("fp32", 0.999, 1e-3), ("fp16", 0.995, 2e-2), ("bf16", 0.97, 1e-1), ("int8", 0.95, 3e-1)],
)
def test_how_far_a_backend_may_be_from_torch(precision: str, least: float, error: float) -> None:
    assert held(precision, least)
    (failure,) = held(precision, least - 1e-6).failures()
    assert "labels agree" in failure
    scores = compare_tensors(np.ones(2), np.ones(2))
    assert held(precision, 1.0, scores=replace(scores, relative_l2=error))
    (failure,) = held(precision, 1.0, scores=replace(scores, relative_l2=error * 1.001)).failures()
    assert "relative L2" in failure
    assert bool(held(precision, 1.0, same_survivors=False)) is (precision != "fp32")


def test_parity_weighs_frames_by_the_pixels_that_count() -> None:
    parity = held("fp32", 1.0)
    (one,) = parity.frames
    labels = (LabelComparison(1.0, 0.1), LabelComparison(0.5, 0.3))
    frames = tuple(replace(one, labels=each) for each in labels)
    parity = replace(parity, frames=frames)
    assert parity.label_agreement == pytest.approx(0.625)
    assert parity.undecided == pytest.approx(0.8)
    assert parity.numbers()["undecided"] == pytest.approx(0.8)


def test_parity_of_nothing_but_ties_needs_scores() -> None:
    assert held("fp32", 1.0, counted=0.0)
    (failure,) = held("fp32", 1.0, counted=0.0, scores=None).failures()
    assert "nothing was compared" in failure


def test_a_failure_of_parity_names_what_is_mistaken_for_what() -> None:
    (failure,) = held("fp32", 0.5, flips=(Pair(("dog", "cat"), 0.5),)).failures()
    assert failure.endswith("most often 'cat' for 'dog'")


def judged_pictures(
    monkeypatch: pytest.MonkeyPatch, base: list[dict[str, Array]], other: list[dict[str, Array]]
) -> Accuracy:
    """Judge a graph against another one, of both of which the answers are known."""
    answers = iter([*base, *other])
    monkeypatch.setattr(accuracy, "open_session", lambda _: None)
    monkeypatch.setattr(accuracy, "_run", lambda *_: next(answers))
    frames = [np.zeros((*each["labels"].shape[1:], 3), np.uint8) for each in base]
    return Baseline.measure(Path("a"), frames, output_map=(0, 1)).compare(Path("b"))


def test_pictures_are_weighed_by_their_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = np.zeros((1, 2, 5), np.uint8), np.zeros((1, 10, 9), np.uint8)
    base = [{"labels": small}, {"labels": large}]
    judged = judged_pictures(monkeypatch, base, [{"labels": small + 1}, {"labels": large}])
    assert judged.agreement == pytest.approx(0.9)
    assert judged.worst_agreement == 0
    assert judged.pictures == 2
    assert judged.decided_agreement is None


def test_what_a_precision_changes_is_told_apart_from_ties(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.array([[[[0.5, 0.5, 0.9, 0.9]], [[0.5, 0.5, 0.1, 0.1]]]], np.float32)
    base = [{"labels": np.array([[[0, 0, 0, 0]]], np.uint8), "scores": scores}]
    other = [{"labels": np.array([[[1, 1, 0, 1]]], np.uint8), "scores": scores}]
    judged = judged_pictures(monkeypatch, base, other)
    assert judged.agreement == 0.25
    assert judged.decided_agreement == 0.5


def test_a_coarser_graph_is_undecided_where_it_answers_otherwise() -> None:
    lead, equal = np.array([[0.5, 0.6, 0.0]]), np.array([[True, False, True]])
    assert _lead_below_float32(lead, equal)[0] == pytest.approx([0.5, 0, 0])
