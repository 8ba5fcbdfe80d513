from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.errors import InputError, UsageError
from edge_ovss.motion.vectors import Labels, Motion
from edge_ovss.runtime.stream.counter import LabelCounter, cap_of

Bytes = NDArray[np.uint8]


def row(*labels: int) -> Bytes:
    return np.asarray([labels], np.uint8)


def started(*labels: int, confirmed: int = 0, cap: int = 9) -> LabelCounter:
    counter = LabelCounter()
    counter.start(row(*labels))
    for _ in range(confirmed):
        counter.count(row(*labels), cap)
    return counter


def shift(pixels: int, width: int, *, valid: int = 1) -> Motion:
    vectors = np.zeros((1, width, 2), np.int16)
    vectors[..., 0] = 32 * pixels
    return Motion(vectors, np.full((1, width), valid, np.uint8))


@pytest.mark.parametrize(
    ("hold_ms", "rate", "cap"),
    [(150, 15, 3), (150, 7.5, 2), (150, 30, 6), (150, 1, 2), (0, 15, 2), (1e6, 60, 255)],
)
def test_the_cap_is_one_more_than_the_inferences_in_the_hold(
    hold_ms: float, rate: float, cap: int
) -> None:
    assert cap_of(hold_ms, rate) == cap


def test_the_first_labels_are_taken_with_a_count_of_one() -> None:
    counter = started(4, 5)
    assert counter.labels.tolist() == [[4, 5]]
    assert counter.counts.tolist() == [[1, 1]]


def test_equal_labels_are_counted_up_to_the_cap() -> None:
    counter = started(4)
    for expected in (2, 3, 3, 3):
        assert counter.count(row(4), 3) == 0.0
        assert counter.counts.item() == expected


def test_a_sure_label_outlasts_contradictions_one_fewer_than_its_count() -> None:
    counter = started(4, confirmed=2)
    assert [counter.count(row(7), 3), counter.labels.item()] == [1.0, 4]
    assert [counter.count(row(7), 3), counter.labels.item()] == [1.0, 4]
    assert [counter.count(row(7), 3), counter.labels.item()] == [0.0, 7]
    assert counter.counts.item() == 1


def test_a_label_that_flashes_once_is_never_shown() -> None:
    counter = started(4, confirmed=2)
    for label in (7, 4, 7, 4):
        counter.count(row(label), 3)
        assert counter.labels.item() == 4


def test_a_label_seen_once_gives_way_at_once() -> None:
    counter = started(4)
    assert counter.count(row(7), 3) == 0.0
    assert counter.labels.item() == 7


def test_with_a_cap_of_one_the_network_is_always_right() -> None:
    counter = started(4, 4)
    for labels in (row(7, 4), row(4, 9), row(255, 9)):
        assert counter.count(labels, 1) == 0.0
        assert (counter.labels == labels).all()
        assert counter.counts.tolist() == [[1, 1]]


def test_held_is_the_share_of_pixels_kept_against_the_network() -> None:
    counter = started(1, 2, 3, 4, confirmed=1)
    assert counter.count(row(1, 9, 3, 9), 3) == 0.5


@pytest.mark.parametrize(
    ("seen", "known"),
    [(row(255), row(3)), (np.asarray([[65535]], np.uint16), np.asarray([[3]], np.uint16))],
)
def test_unknown_is_a_label_like_any_other(seen: Labels, known: Labels) -> None:
    counter = LabelCounter()
    counter.start(seen)
    counter.count(seen, 3)
    counter.count(known, 3)
    assert counter.labels.item() == seen.item()
    assert counter.labels.dtype == seen.dtype
    counter.count(known, 3)
    assert counter.labels.item() == 3


def test_labels_and_counts_move_along() -> None:
    counter = started(1, 2, 3, confirmed=1)
    counter.count(row(1, 9, 3), 5)
    counter.follow(shift(-1, 3).sources(1, 3))
    # The first pixel comes from outside: its old label stays, but nothing confirms it.
    assert counter.labels.tolist() == [[1, 1, 2]]
    assert counter.counts.tolist() == [[0, 3, 1]]


def test_where_the_motion_fails_the_label_moves_and_the_count_is_lost() -> None:
    counter = started(1, 2, 3, confirmed=2)
    counter.follow(shift(1, 3, valid=0).sources(1, 3))
    assert counter.labels.tolist() == [[2, 3, 3]]
    assert counter.counts.tolist() == [[0, 0, 0]]
    assert counter.count(row(7, 7, 7), 3) == 0.0
    assert counter.labels.tolist() == [[7, 7, 7]]


def test_a_still_camera_keeps_what_it_knows() -> None:
    counter = started(1, 2, confirmed=3)
    for _ in range(5):
        counter.follow(Motion.still().sources(1, 2))
    assert counter.labels.tolist() == [[1, 2]]
    assert counter.counts.tolist() == [[4, 4]]


def test_planes_handed_out_belong_to_the_caller() -> None:
    counter = started(1, 2)
    given = row(1, 2)
    counter.start(given)
    given[:] = 9
    counter.labels[:] = 9
    counter.counts[:] = 9
    assert counter.labels.tolist() == [[1, 2]]
    assert counter.counts.tolist() == [[1, 1]]


def test_random_streams_follow_the_rule_pixel_by_pixel() -> None:
    random = np.random.default_rng(1)
    height, width = 5, 7
    counter = LabelCounter()
    labels = random.integers(0, 3, (height, width)).astype(np.uint8)
    counter.start(labels)
    expected, counts = labels.copy(), np.ones_like(labels)
    for cap in (3, 2, 5, 1, 4, 3, 3, 2):
        vectors = random.integers(-60, 60, (height, width, 2)).astype(np.int16)
        motion = Motion(vectors, random.integers(0, 2, (height, width)).astype(np.uint8))
        labels = random.integers(0, 3, (height, width)).astype(np.uint8)
        before, known, kept = expected.copy(), counts.copy(), 0
        for y in range(height):
            for x in range(width):
                sx, sy = (int(v + 16) >> 5 for v in vectors[y, x])
                sx, sy = x + sx, y + sy
                inside = 0 <= sx < width and 0 <= sy < height
                moved = before[sy, sx] if inside else before[y, x]
                count = int(known[sy, sx]) if inside and motion.valid[y, x] else 0
                if labels[y, x] == moved:
                    expected[y, x], counts[y, x] = moved, min(count + 1, cap)
                elif count > 1:
                    expected[y, x], counts[y, x], kept = moved, count - 1, kept + 1
                else:
                    expected[y, x], counts[y, x] = labels[y, x], 1
        counter.follow(motion.sources(height, width))
        assert counter.count(labels, cap) == kept / labels.size
        assert (counter.labels == expected).all()
        assert (counter.counts == counts).all()


def test_labels_and_motion_of_another_size_are_refused() -> None:
    counter = started(1, 2)
    with pytest.raises(InputError, match=r"uint8 \[1, 3\]; the stream has uint8 \[1, 2\]"):
        counter.count(row(1, 2, 3), 3)
    with pytest.raises(InputError, match="uint16"):
        counter.count(row(1, 2).astype(np.uint16), 3)
    with pytest.raises(InputError, match="1x3 pixels, the labels have 1x2"):
        counter.follow(Motion.still().sources(1, 3))


@pytest.mark.parametrize("cap", [0, 256])
def test_a_cap_out_of_range_is_refused(cap: int) -> None:
    with pytest.raises(UsageError, match="expected 1 to 255"):
        started(1).count(row(1), cap)
