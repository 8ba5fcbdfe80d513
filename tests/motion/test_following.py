from __future__ import annotations

import numpy as np
import pytest

import edge_ovss.motion.following as module
from edge_ovss.errors import InputError
from edge_ovss.motion.following import following
from edge_ovss.motion.vectors import Labels, Motion

SIZE = (37, 53)


def random_motion(seed: int, reach: int, kind: type = np.uint8) -> Motion:
    random = np.random.default_rng(seed)
    vectors = random.integers(-reach, reach + 1, (*SIZE, 2)).astype(np.int16)
    return Motion(vectors, (random.random(SIZE) < 0.8).astype(kind))


@pytest.mark.parametrize("reach", [40, 900, 32767])
@pytest.mark.parametrize("labels", [np.uint8, np.uint16])
@pytest.mark.parametrize("valid", [np.uint8, np.bool_])
def test_opencv_gives_the_same_bytes_as_numpy(reach: int, labels: type, valid: type) -> None:
    pytest.importorskip("cv2")
    motion = random_motion(reach, reach, valid)
    fast, plain = following(motion, *SIZE), motion.sources(*SIZE)
    assert type(fast) is not type(plain)
    random = np.random.default_rng(1)
    plane: Labels = random.integers(0, 256, SIZE).astype(labels)
    counts = random.integers(0, 9, SIZE).astype(np.uint8)
    assert np.array_equal(fast.labels(plane), plain.labels(plane))
    assert fast.labels(plane).dtype == labels
    assert np.array_equal(fast.counts(counts), plain.counts(counts))
    for found in (fast, plain):
        there, count = found.both(plane, counts)
        assert np.array_equal(there, plain.labels(plane))
        assert np.array_equal(count, plain.counts(counts))
        assert there.dtype == labels
        assert count.dtype == np.uint8
    assert fast.lost == plain.lost
    at = np.flatnonzero(plain.trusted)
    for pixels in (1, 2, 8):
        far = fast.is_far(at, pixels)
        assert np.array_equal(far, plain.is_far(at, pixels))
        assert far.any() == (32 * pixels <= reach + 16)
    assert fast.size == plain.size == SIZE


def test_validity_is_whatever_is_not_zero() -> None:
    valid = np.full(SIZE, 2, np.uint8)
    motion = Motion(np.zeros((*SIZE, 2), np.int16), valid)
    assert following(motion, *SIZE).lost == 0
    assert motion.sources(*SIZE).lost == 0


def test_without_opencv_numpy_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_opencv", lambda: None)
    motion = random_motion(0, 90)
    found, plain = following(motion, *SIZE), motion.sources(*SIZE)
    assert np.array_equal(found.plain().index, plain.index)
    assert np.array_equal(found.plain().trusted, plain.trusted)


def test_a_coarse_grid_is_followed_too() -> None:
    motion = Motion(np.full((5, 6, 2), 70, np.int16), np.ones((5, 6), np.uint8))
    found = following(motion, *SIZE)
    assert np.array_equal(found.plain().index, motion.sources(*SIZE).index)


def test_one_motion_after_another_is_following_twice() -> None:
    first, second = following(random_motion(2, 90), *SIZE), following(random_motion(3, 90), *SIZE)
    both = first.then(second)
    random = np.random.default_rng(4)
    labels: Labels = random.integers(0, 256, SIZE).astype(np.uint8)
    counts = random.integers(0, 9, SIZE).astype(np.uint8)
    assert np.array_equal(both.labels(labels), second.labels(first.labels(labels)))
    assert np.array_equal(both.counts(counts), second.counts(first.counts(counts)))


def test_more_vectors_than_pixels_are_refused() -> None:
    with pytest.raises(InputError, match="at most one for each pixel"):
        following(random_motion(0, 9), 36, 53)
