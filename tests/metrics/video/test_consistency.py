from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.metrics.video.consistency import Consistency, Steadiness, VspwConsistency

Frames = NDArray[np.int32]


def video(seed: int, frames: int = 20, *, noise: float = 0.05, ignored: float = 0.0) -> Frames:
    """Labels [frames, 6, 7] that change at random pixels now and then."""
    random = np.random.default_rng(seed)
    labels = np.repeat(random.integers(0, 3, (1, 6, 7)), frames, 0).astype(np.int32)
    for number in range(1, frames):
        changed = random.random((6, 7)) < noise
        labels[number:, changed] = random.integers(0, 3, int(changed.sum()))
    labels[random.random(labels.shape) < ignored] = -1
    return labels


def by_hand(truth: Frames, labels: Frames, n: int) -> Steadiness:
    """The definition, window by window and pixel by pixel."""
    steady, right, area = [], [], []
    for start in range(len(truth) - n + 1):
        looked = kept = correct = 0
        for y, x in itertools.product(range(6), range(7)):
            seen = {int(v) for v in truth[start : start + n, y, x]}
            if len(seen) == 1 and seen != {-1}:
                looked += 1
                said = {int(v) for v in labels[start : start + n, y, x]}
                kept += len(said) == 1
                correct += said == seen
        area.append(looked / 42)
        if looked:
            steady.append(kept / looked)
            right.append(correct / looked)
    return Steadiness(*(sum(v) / len(v) if v else math.nan for v in (steady, right, area)))


@pytest.mark.parametrize("n", [1, 2, 8, 16])
@pytest.mark.parametrize("ignored", [0.0, 0.02])
def test_vc_is_what_the_definition_says(n: int, ignored: float) -> None:
    truth, labels = video(0, ignored=ignored), video(1, noise=0.1)
    labels[:, :3] = np.maximum(truth[:, :3], 0)
    found = Consistency((n,))
    for pair in zip(truth, labels, strict=True):
        found.add(*pair)
    expected = by_hand(truth, labels, n)
    result = found.result()[n]
    assert result.steady == pytest.approx(expected.steady, abs=1e-12)
    assert result.right == pytest.approx(expected.right, abs=1e-12)
    assert result.area == pytest.approx(expected.area, abs=1e-12)


def test_a_label_held_for_ever_is_perfectly_steady_and_not_right() -> None:
    found = Consistency((8,))
    for _ in range(10):
        found.add(np.ones((2, 2), np.int32), np.zeros((2, 2), np.uint8))
    assert found.result()[8] == Steadiness(1.0, 0.0, 1.0)


def test_a_video_shorter_than_the_window_has_no_number() -> None:
    found = Consistency((8,))
    for frame in video(0, 7):
        found.add(frame, frame)
    assert math.isnan(found.result()[8].steady)


def test_the_mean_of_videos_counts_each_once_and_skips_those_without_a_number() -> None:
    parts = [Steadiness(1.0, 0.5, 0.5), Steadiness(0.5, 0.5, 0.25), Steadiness(*[math.nan] * 3)]
    assert Steadiness.mean(parts) == Steadiness(0.75, 0.5, 0.375)
    assert math.isnan(Steadiness.mean([]).steady)


def published(videos: list[tuple[Frames, Frames]], n: int) -> float:
    """The published script by its description: video.md, section 2."""
    windows = []
    for truth, labels in videos:
        if len(truth) <= 16:
            continue
        for first in range(len(truth) - n):  # the last full window is left out
            looked = np.all(truth[first : first + n] == truth[first], axis=0)
            agree = np.all(labels[first : first + n] == labels[first], axis=0) & looked
            with np.errstate(invalid="ignore", divide="ignore"):
                windows.append(np.float64(agree.sum()) / np.float64(looked.sum()))
    return float(np.nanmean(windows)) if windows else math.nan


@pytest.mark.parametrize("n", [8, 16])
def test_the_published_script_is_followed_bit_for_bit(n: int) -> None:
    lengths = (17, 16, 25, 40, 9)
    videos = [
        (video(i, length, ignored=0.01), video(100 + i, length, noise=0.1))
        for i, length in enumerate(lengths)
    ]
    # A video in which every pixel changes has windows without a pixel.
    restless = np.arange(20)[:, None, None] * np.ones((1, 6, 7), np.int32)
    videos.append((restless.astype(np.int32), restless.astype(np.int32)))
    found = VspwConsistency()
    for truth, labels in videos:
        found.begin()
        for pair in zip(truth, labels, strict=True):
            found.add(*pair)
    assert found.result()[n] == published(videos, n)


def test_the_two_readings_differ_where_they_should() -> None:
    truth, labels = video(0, 20, ignored=0.1), video(1, 20, noise=0.2)
    ours, theirs = Consistency((8,)), VspwConsistency((8,))
    for pair in zip(truth, labels, strict=True):
        ours.add(*pair)
        theirs.add(*pair)
    assert ours.result()[8].steady != theirs.result()[8]
    short = VspwConsistency((8,))
    for pair in zip(truth[:16], labels[:16], strict=True):
        short.add(*pair)
    assert math.isnan(short.result()[8])
