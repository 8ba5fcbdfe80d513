from __future__ import annotations

import numpy as np
import pytest

from edge_ovss.errors import InputError
from edge_ovss.metrics.bootstrap import miou_change
from edge_ovss.metrics.confusion import Confusion
from edge_ovss.metrics.video.blocks import block_change


def matrices(seed: int, count: int) -> list[Confusion]:
    random = np.random.default_rng(seed)
    return [random.integers(1, 50, (3, 3)).astype(np.int64) for _ in range(count)]


def test_eight_frames_are_drawn_together_and_no_block_spans_two_videos() -> None:
    before, after = [matrices(0, 10), matrices(1, 8)], [matrices(2, 10), matrices(3, 8)]
    blocks = [
        [np.sum(part, 0) for part in (videos[0][:8], videos[0][8:], videos[1])]
        for videos in (before, after)
    ]
    found = block_change(before, after)
    assert found == miou_change(blocks[0], blocks[1])
    assert found.pictures == 3


def test_the_change_itself_does_not_depend_on_blocks() -> None:
    before, after = matrices(0, 20), matrices(1, 20)
    found = block_change([before], [after])
    assert found.points == pytest.approx(miou_change(before, after).points)


def test_unknown_is_in_no_mean() -> None:
    before, after = matrices(0, 20), matrices(1, 20)
    found = block_change([before], [after], classes=2)
    assert found.points == pytest.approx(miou_change(before, after, classes=2).points)
    assert found.points != pytest.approx(miou_change(before, after).points)


def test_no_frames_are_refused() -> None:
    with pytest.raises(InputError):
        block_change([], [])
