"""Video consistency VC_n: where the truth stays the same, does the prediction?

Two readings. Ours looks at every window of n frames of a video and at labeled pixels only, and
averages videos. The published script of VSPW (`VspwConsistency`) leaves the last window of a video
out, counts unlabeled pixels as a category, skips videos of at most 16 frames, and averages the
windows of all videos. Neither asks whether the prediction is right; `right` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.metrics.confusion import IGNORED

WINDOWS = (8, 16)
_VSPW_SHORTEST = 17

LabelMap = NDArray[Any]


@dataclass(frozen=True)
class Steadiness:
    """VC_n of one video or of several; shares from 0 to 1, NaN where nothing was looked at.

    Attributes:
        steady: Share of the pixels looked at whose prediction stays the same too.
        right: Share of them whose prediction stays the same and is the truth.
        area: Share of all pixels that is looked at: those whose truth stays the same.
    """

    steady: float
    right: float
    area: float

    @classmethod
    def mean(cls, parts: Sequence[Steadiness]) -> Steadiness:
        """Return the mean over windows or videos that have a number, each counted once."""
        return cls(
            _mean([part.steady for part in parts]),
            _mean([part.right for part in parts]),
            _mean([part.area for part in parts]),
        )


@dataclass
class Runs:
    """Since how many frames every pixel has had its value."""

    _length: NDArray[np.int32] | None = None
    _last: LabelMap | None = None

    def add(self, labels: LabelMap) -> NDArray[np.int32]:
        """Take the next frame, [H, W], and return the numbers of frames, int32, at least 1."""
        length = np.ones(labels.shape, np.int32)
        if self._length is not None and self._last is not None:
            length += np.where(labels == self._last, self._length, 0)
        self._length, self._last = length, labels
        return length


class Consistency:
    """VC_n of one video, frame by frame.

    Args:
        windows: The numbers of frames n.
    """

    def __init__(self, windows: Sequence[int] = WINDOWS) -> None:
        self._truth, self._labels = Runs(), Runs()
        self._found: dict[int, list[Steadiness]] = {n: [] for n in windows}
        self.frames = 0

    def add(self, truth: LabelMap, labels: LabelMap) -> None:
        """Take the next frame.

        Args:
            truth: Categories [H, W], or `IGNORED`.
            labels: Predicted categories [H, W].
        """
        same, steady = self._truth.add(truth), self._labels.add(labels)
        self.frames += 1
        for n, found in self._found.items():
            window = (same >= n) & (truth != IGNORED)
            if self.frames >= n:
                found.append(_look(window, steady >= n, truth == labels))

    def result(self) -> dict[int, Steadiness]:
        """Return VC_n by n: the mean over the windows of this video."""
        return {n: Steadiness.mean(found) for n, found in self._found.items()}


def _look(
    window: NDArray[np.bool_], steady: NDArray[np.bool_], right: NDArray[np.bool_]
) -> Steadiness:
    looked = int(np.count_nonzero(window))
    if not looked:
        return Steadiness(float("nan"), float("nan"), 0.0)
    kept = window & steady
    return Steadiness(
        int(np.count_nonzero(kept)) / looked,
        int(np.count_nonzero(kept & right)) / looked,
        looked / window.size,
    )


class VspwConsistency:
    """mVC_n as the published script of VSPW computes it, over several videos, frame by frame.

    Args:
        windows: The numbers of frames n.
    """

    def __init__(self, windows: Sequence[int] = WINDOWS) -> None:
        self._shares: dict[int, list[float]] = {n: [] for n in windows}
        self._video: dict[int, list[float]] = {n: [] for n in windows}
        self.begin()

    def begin(self) -> None:
        """Begin the next video."""
        self._close()
        self._truth, self._labels = Runs(), Runs()
        self._video = {n: [] for n in self._shares}
        self._frames = 0

    def add(self, truth: LabelMap, labels: LabelMap) -> None:
        """Take the next frame: the numbers of the label file, and the prediction, both [H, W]."""
        same, steady = self._truth.add(truth), self._labels.add(labels)
        self._frames += 1
        for n, shares in self._video.items():
            if self._frames >= n:
                count = int(np.count_nonzero(same >= n))
                both = int(np.count_nonzero((same >= n) & (steady >= n)))
                shares.append(both / count if count else float("nan"))

    def _close(self) -> None:
        """Keep the windows of a video that is long enough, without the last one."""
        for n, shares in self._video.items():
            if shares and self._frames >= _VSPW_SHORTEST:
                self._shares[n] += shares[:-1]

    def result(self) -> dict[int, float]:
        """Return mVC_n by n: the mean over the windows of all videos, NaN without any."""
        self.begin()
        return {n: _mean(shares) for n, shares in self._shares.items()}


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
