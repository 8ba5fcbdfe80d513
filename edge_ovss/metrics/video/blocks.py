"""Intervals for videos: frames that follow each other are alike, so blocks of them are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_ovss.metrics.bootstrap import Change, miou_change
from edge_ovss.metrics.confusion import Confusion
from edge_ovss.metrics.reported import DEFAULT_PROTOCOL

BLOCK = 8
"""Frames of a block."""


def block_change(
    before: Sequence[Sequence[Confusion]],
    after: Sequence[Sequence[Confusion]],
    *,
    protocol: str = DEFAULT_PROTOCOL,
    classes: int | None = None,
    seed: int = 0,
) -> Change:
    """Compare two runs over the same videos; the interval is a bootstrap over blocks of 8 frames.

    Args:
        before: Confusion matrices by video and frame, int64 [K, K] or, with "unknown",
            [K + 1, K + 1].
        after: Those of the same frames.
        protocol: Protocol of the mean.
        classes: K, so that "unknown" is in no mean; None for all rows.
        seed: Seed of the resampling.

    Raises:
        InputError: There are no frames, or the two numbers differ.
    """
    return miou_change(
        _blocks(before), _blocks(after), protocol=protocol, classes=classes, seed=seed
    )


def _blocks(videos: Sequence[Sequence[Confusion]]) -> list[Confusion]:
    return [
        np.sum(frames[start : start + BLOCK], axis=0)
        for frames in videos
        for start in range(0, len(frames), BLOCK)
    ]
