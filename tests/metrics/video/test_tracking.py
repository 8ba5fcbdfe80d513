from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.metrics.video.flashes import Flashes
from edge_ovss.metrics.video.tracking import Tracking, Truths
from edge_ovss.motion.vectors import Motion, Sources
from edge_ovss.synthetic import STREET_CLASSES, Drive, MovingStreet

Labels = NDArray[np.int32]


def row(*labels: int) -> Labels:
    return np.asarray([labels], np.int32)


def moved_right(width: int, valid: tuple[int, ...] = ()) -> Sources:
    vectors = np.zeros((1, width, 2), np.int16)
    vectors[..., 0] = -32
    known = np.asarray([valid or (1,) * width], np.uint8)
    return Motion(vectors, known).sources(1, width)


def test_labels_that_go_along_are_steady() -> None:
    found = Tracking(4)
    found.add(
        row(0, 1, 2, 3), row(9, 0, 1, 2), moved_right(4), Truths(row(1, 1, 1, 1), row(1, 1, 1, 1))
    )
    assert (found.tc, found.flicker, found.change) == (1.0, 0.0, 0.0)


def test_flicker_looks_only_where_the_truth_goes_along_and_change_everywhere() -> None:
    found = Tracking(3)
    truth = Truths(row(0, 0, 1, -1), row(0, 0, 2, 1))
    # Pixel 1: truth 0 from 0, prediction 1 from 0. Pixel 2: truth differs. Pixel 3: 1 from 1.
    found.add(row(0, 2, 2, 2), row(0, 1, 2, 2), moved_right(4), truth)
    assert found.change == pytest.approx(1 / 3)
    assert found.flicker == 0.5
    truth = Truths(row(-1, 0, 0, 0), row(0, -1, 0, 0))
    again = Tracking(3)
    again.add(row(0, 1, 1, 1), row(0, 1, 2, 1), moved_right(4), truth)
    assert again.flicker == 0.5


def test_tc_is_the_mean_iou_over_one_matrix_of_all_pairs() -> None:
    found = Tracking(3)
    found.add(row(0, 0, 1, 1), row(2, 0, 0, 1), moved_right(4))
    found.add(row(1, 1, 1, 1), row(2, 0, 1, 1), moved_right(4))
    # Class 0: 2 right of 3; class 1: 3 right of 4; class 2 only where the motion is not known.
    assert found.tc == pytest.approx((2 / 3 + 3 / 4) / 2)


def test_unknown_is_compared_like_a_category() -> None:
    found = Tracking(3)
    found.add(row(255, 255, 1, 1), row(1, 255, 1, 1), moved_right(4))
    assert found.change == pytest.approx(1 / 3)
    assert found.tc == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_pixels_without_motion_are_not_looked_at() -> None:
    found = Tracking(3)
    found.add(row(0, 0, 1, 1), row(1, 2, 0, 2), moved_right(4, (1, 0, 1, 0)))
    assert found.change == 0.0


def test_nothing_to_look_at_is_not_a_number() -> None:
    found = Tracking(3)
    found.add(row(0, 0), row(1, 1), moved_right(2, (0, 0)), Truths(row(-1, -1), row(-1, -1)))
    assert all(math.isnan(value) for value in (found.tc, found.flicker, found.change))


@pytest.mark.parametrize("seed", range(3))
def test_with_exact_flow_the_truth_of_a_moving_street_is_perfect(seed: int) -> None:
    street = MovingStreet(Drive(seed, frames=12, height=90, width=120))
    found = Tracking(len(STREET_CLASSES))
    for number in range(1, 12):
        before, now = street.scene(number - 1).labels, street.scene(number).labels
        motion = street.motion(number)
        assert motion is not None
        sources = motion.sources(90, 120)
        found.add(before, now, sources, Truths(before, now))
    assert (found.tc, found.flicker, found.change) == (1.0, 0.0, 0.0)


def test_pixels_labeled_in_both_frames() -> None:
    truth = Truths(row(0, -1, 0, 0), row(0, 0, 0, -1))
    assert truth.labeled(moved_right(4)).trusted.tolist() == [[False, True, False, False]]


def frames(*present: int) -> list[Labels]:
    """Frames of 100 pixels; category 1 is on one pixel where `present`."""
    return [np.asarray([[0] * 99 + [on]], np.int32) for on in present]


@pytest.mark.parametrize(
    ("present", "count"),
    [
        ((0, 1, 0, 0), 1),
        ((0, 1, 1, 0), 1),
        ((0, 1, 1, 1, 0), 0),
        ((0, 1, 0, 1, 0), 2),
        ((1, 0, 0, 0), 0),
        ((0, 0, 0, 1), 0),
        ((1, 0, 1, 0, 1), 1),
        ((1, 1, 0, 1, 1, 0, 0, 1), 1),
        ((0, 1), 0),
    ],
)
def test_a_flash_is_at_most_two_frames_between_frames_without(
    present: tuple[int, ...], count: int
) -> None:
    found = Flashes(2)
    for labels in frames(*present):
        found.add(labels)
    assert found.count == count


def test_a_flash_needs_five_pixels_of_ten_thousand() -> None:
    for pixels, count in ((4, 0), (5, 1)):
        found = Flashes(2)
        for on in (0, 1, 0):
            labels = np.zeros(10_000, np.int32)
            labels[: pixels * on] = 1
            found.add(labels.reshape(100, 100))
        assert found.count == count


def test_unknown_is_no_category_that_flashes() -> None:
    found = Flashes(2)
    for on in (0, 255, 0):
        found.add(np.full((4, 4), on, np.int32))
    # Category 0 is gone for one frame, and nothing else comes.
    assert found.count == 0
