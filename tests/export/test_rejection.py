"""Votes, places and slots of a rejection, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ovss.errors import InputError  # noqa: E402
from edge_ovss.export.parts.selection import (  # noqa: E402
    count_votes,
    select_all_with_votes,
    select_slots,
)
from edge_ovss.export.slots import choose_slots  # noqa: E402


def scores(*rows: list[float]) -> Any:  # noqa: ANN401 (a tensor)
    """Scores float [S, 1, positions], a row for each category."""
    return torch.tensor(rows).unsqueeze(1)


@pytest.mark.parametrize("low", [-2.0, -4.0, -1e3, -2.9e4])
def test_an_empty_slot_gets_no_vote_however_low_the_scores_are(low: float) -> None:
    given = scores([low, low - 1], [low - 1, low], [100.0, 100.0])
    votes = count_votes(given, topk=1, valid=torch.tensor([1.0, 1.0, 0.0]))
    assert votes.tolist() == [1, 1, 0]
    # A slot that is empty takes no place among the highest either.
    both = count_votes(given, topk=2, valid=torch.tensor([1.0, 1.0, 0.0]))
    assert both.tolist() == [2, 2, 0]


def test_what_stands_for_an_empty_slot_is_finite_in_half_precision() -> None:
    given = scores([-100.0], [100.0]).half()
    votes = count_votes(given, topk=1, valid=torch.tensor([1.0, 0.0]).half())
    assert votes.tolist() == [1, 0]


def test_votes_count_the_positions_where_a_category_is_among_the_highest() -> None:
    given = scores([3.0, 1.0, 1.0], [2.0, 3.0, 2.0], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    assert count_votes(given, topk=2, valid=None).tolist() == [1, 3, 2, 0]
    assert count_votes(given, topk=1, valid=None).tolist() == [1, 1, 1, 0]


def kept(votes: list[float], slots: int) -> tuple[list[int], int]:
    """Return the categories that stay, and how many wanted to."""
    found = select_slots(torch.tensor(votes), slots=slots)
    assert found.valid is not None
    valid = found.valid.bool()
    assert not valid.logical_not().cumsum(0)[valid].any()  # empty slots are last
    return found.index[valid].tolist(), int(found.wanted)


@pytest.mark.parametrize(
    ("votes", "slots", "expected", "wanted"),
    [
        ([5.0, 5.0, 5.0, 5.0], 2, [0, 1], 4),  # among equals the first ids stay
        ([1.0, 5.0, 2.0, 5.0], 2, [1, 3], 4),
        ([0.0, 0.0, 1.0], 2, [2], 1),  # a single vote of the last is enough
        ([1.0, 0.0, 0.0], 3, [0], 1),
        ([0.0, 0.0, 0.0], 2, [], 0),
        ([2.0, 1.0, 3.0], 3, [0, 1, 2], 3),
        ([1.0, 1.0, 0.0, 1.0], 3, [0, 1, 3], 3),
    ],
)
def test_places_go_to_the_most_votes_in_the_order_of_ids(
    votes: list[float], slots: int, expected: list[int], wanted: int
) -> None:
    assert kept(votes, slots) == (expected, wanted)


def test_without_slots_all_with_votes_stay() -> None:
    found = select_all_with_votes(torch.tensor([0.0, 1.0, 0.0, 7.0]), topk=2)
    assert found.index.tolist() == [1, 3]
    assert found.valid is None
    assert int(found.wanted) == 2


def test_slots_hold_all_but_one_picture_of_a_thousand() -> None:
    """The 99.9th percentile, between the two highest of 1001 pictures, and not the 99th."""
    counts = np.full((1001, 3), 10, np.int32)
    counts[:3] = (50, 40, 30)  # 0.3 %: the 99th percentile does not see them
    assert choose_slots(counts, topk=2, categories=100).slots == (56, 40, 32)
    counts[1:] = 10
    chosen = choose_slots(counts, topk=2, categories=100)
    assert chosen.slots == (16, 16, 16)
    assert chosen.overflow == pytest.approx(1 / 1001)
    assert chosen.percentiles["99.9"] == pytest.approx([10.0, 10.0, 10.0])
    assert chosen.percentiles["100"] == [50.0, 40.0, 30.0]
    assert list(chosen.percentiles) == ["50", "90", "99", "99.9", "100"]


@pytest.mark.parametrize(
    ("count", "topk", "categories", "slots"),
    [(1, 2, 100, 8), (8, 2, 100, 8), (9, 2, 100, 16), (1, 9, 100, 9), (9, 2, 12, 12), (5, 8, 6, 6)],
)
def test_slots_are_multiples_of_8_between_topk_and_the_categories(
    count: int, topk: int, categories: int, slots: int
) -> None:
    counts = np.full((3, 3), count, np.int32)
    assert choose_slots(counts, topk=topk, categories=categories).slots == (slots,) * 3


def test_a_later_rejection_has_no_more_slots_than_an_earlier_one() -> None:
    counts = np.array([[9, 30, 20]], np.int32)
    found = choose_slots(counts, topk=2, categories=100)
    assert found.slots == (16, 16, 16)
    assert found.overflow == 1.0


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 2), (2, 4)])
def test_counts_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected"):
        choose_slots(np.zeros(shape, np.int32), topk=2, categories=9)
