from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.errors import InputError, UsageError
from edge_ovss.motion.following import Following
from edge_ovss.motion.vectors import Labels, Motion, Sources
from edge_ovss.runtime.stream.counter import LabelCounter, cap_of, reach_of

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


def beside(labels: Labels, y: int, x: int, label: int) -> bool:
    height, width = labels.shape
    near = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    return any(labels[at] == label for at in near if 0 <= at[0] < height and 0 <= at[1] < width)


@pytest.mark.parametrize(
    ("width", "reach"), [(1, 1), (480, 1), (719, 1), (720, 2), (1920, 4), (3840, 8)]
)
def test_edges_may_be_a_pixel_from_their_place_in_480_columns(width: int, reach: int) -> None:
    assert reach_of(width) == reach


class Moved:
    """Says of every pixel how far it moved."""

    def __init__(self, height: int, width: int, pixels: int = 2) -> None:
        self.size, self.pixels = (height, width), pixels
        self.lost = 0.0

    def is_far(self, at: NDArray[np.intp], pixels: int) -> NDArray[np.bool_]:
        return np.full(len(at), self.pixels >= pixels)

    def labels(self, plane: Labels) -> Labels:
        return plane

    def counts(self, plane: Bytes) -> Bytes:
        return plane

    def both(self, labels: Labels, counts: Bytes) -> tuple[Labels, Bytes]:
        return labels, counts

    def then(self, later: Following) -> Following:
        return later

    def plain(self) -> Sources:
        raise NotImplementedError


@pytest.mark.parametrize(("pixels", "shown"), [(0, 1), (1, 1), (2, 7), (9, 7)])
def test_where_it_moves_fast_a_label_gives_way_to_one_next_to_it(pixels: int, shown: int) -> None:
    # A pole (7) whose edge the motion put one pixel beside its place, and a flash (9) far from one.
    seen, now = row(1, 1, 7, 7, 1, 1, 1), row(1, 7, 7, 1, 1, 1, 9)
    counter = started(*seen[0], confirmed=2)
    held = counter.count(now, 3, Moved(1, 7, pixels))
    assert counter.labels[0, [1, 6]].tolist() == [shown, 1]
    assert held == (1 if shown == 7 else 3) / 7
    assert counter.counts.tolist() == (
        [[3, 1, 3, 1, 3, 3, 2]] if shown == 7 else [[3, 2, 3, 2, 3, 3, 2]]
    )


@pytest.mark.parametrize(
    ("y", "x", "shown"),
    [(1, 2, 7), (3, 2, 7), (2, 1, 7), (2, 3, 7), (1, 1, 1), (0, 2, 1), (4, 2, 1), (2, 0, 1)],
)
def test_above_below_left_and_right_are_next_to_a_pixel(y: int, x: int, shown: int) -> None:
    labels = np.ones((5, 5), np.uint8)
    labels[y, x] = 7
    counter = LabelCounter()
    counter.start(labels)
    counter.count(labels, 3)
    now = labels.copy()
    now[2, 2] = 7
    counter.count(now, 3, Moved(5, 5))
    assert counter.labels[2, 2] == shown


def test_in_a_wide_frame_next_to_a_pixel_is_farther() -> None:
    seen = np.ones((1, 1440), np.uint8)
    seen[0, :4] = 7
    counter = LabelCounter()
    counter.start(seen)
    counter.count(seen, 3)
    now = seen.copy()
    now[0, 4:9] = 7
    copy = counter.copied()
    counter.count(now, 3, Moved(1, 1440, 6))
    # Three pixels are one of 480 columns; the two at the end have a 7 neither at 3 nor before.
    assert counter.labels[0, 4:9].tolist() == [7, 7, 7, 1, 1]
    copy.count(now, 3, Moved(1, 1440, 5))
    assert copy.labels.tolist() == seen.tolist()


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
        there = motion.sources(height, width).labels(before)
        fast = np.abs((vectors.astype(int) + 16) >> 5).max(2) >= 2
        for y in range(height):
            for x in range(width):
                sx, sy = (int(v + 16) >> 5 for v in vectors[y, x])
                sx, sy = x + sx, y + sy
                inside = 0 <= sx < width and 0 <= sy < height
                moved = before[sy, sx] if inside else before[y, x]
                count = int(known[sy, sx]) if inside and motion.valid[y, x] else 0
                if labels[y, x] == moved:
                    expected[y, x], counts[y, x] = moved, min(count + 1, cap)
                elif count > 1 and not (fast[y, x] and beside(there, y, x, labels[y, x])):
                    expected[y, x], counts[y, x], kept = moved, count - 1, kept + 1
                else:
                    expected[y, x], counts[y, x] = labels[y, x], 1
        counter.follow(motion.sources(height, width))
        sources = motion.sources(height, width)
        assert counter.count(labels, cap, sources) == kept / labels.size
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
