"""The label counter: a label stays until the network has contradicted it often enough.

Two planes of the frame's size go along with the motion: the label L of every pixel, and the count
c of how often it was confirmed. The C++ library computes the same, byte for byte.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ovss.errors import InputError, UsageError
from edge_ovss.motion.following import Following
from edge_ovss.motion.vectors import Labels

LEAST_CAP = 2
LARGEST_CAP = 255


def cap_of(hold_ms: float, rate_hz: float) -> int:
    """Return the largest count: one more than the inferences in the time a label is held.

    Args:
        hold_ms: How long a label may stay against the network.
        rate_hz: Inferences per second.
    """
    held = int(hold_ms * rate_hz / 1000 + 0.5)
    return min(max(1 + held, LEAST_CAP), LARGEST_CAP)


class LabelCounter:
    """The two planes of a stream. "Unknown" (255 or 65535) is a label like any other."""

    def __init__(self) -> None:
        self._labels: Labels = np.zeros((0, 0), np.uint8)
        self._counts = np.zeros((0, 0), np.uint8)

    @property
    def labels(self) -> Labels:
        """The labels now, [H, W] in the type of the network's; a copy."""
        labels: Labels = self._labels.copy()
        return labels

    @property
    def counts(self) -> NDArray[np.uint8]:
        """How often each label was confirmed, uint8 [H, W]; a copy."""
        counts: NDArray[np.uint8] = self._counts.copy()
        return counts

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the planes; (0, 0) before the first labels."""
        height, width = self._labels.shape
        return height, width

    def copied(self) -> LabelCounter:
        """Return a counter of its own that knows the same."""
        copy = LabelCounter()
        copy._labels, copy._counts = self.labels, self.counts
        return copy

    def start(self, labels: Labels) -> None:
        """Take the network's labels as they are; everything before is forgotten."""
        self._labels = np.ascontiguousarray(labels).copy()
        self._counts = np.ones(labels.shape, np.uint8)

    def follow(self, sources: Following) -> None:
        """Move both planes along; where the motion cannot be trusted, counts become 0.

        Raises:
            InputError: The motion is that of a frame of another size.
        """
        if sources.size != self.size:
            given, own = sources.size, self.size
            message = (
                f"The motion is that of a frame of {given[0]}x{given[1]} pixels, "
                f"the labels have {own[0]}x{own[1]}."
            )
            raise InputError(message, hint="Give the vectors of this frame.")
        self._labels = sources.labels(self._labels)
        self._counts = sources.counts(self._counts)

    def count(self, labels: Labels, cap: int) -> float:
        """Compare the network's labels with those that moved here, and keep the surer ones.

        Args:
            labels: What the network says now, [H, W].
            cap: The largest count, 1 to 255; with 1 the network is always right.

        Returns:
            The share of pixels that keep a label against the network, 0 to 1.

        Raises:
            InputError: The labels have another size or type.
            UsageError: The cap is out of range.
        """
        self._check(labels, cap)
        moved, counts = self._labels, self._counts
        differs = labels != moved
        kept = differs & (counts > 1)
        fewer = counts - kept
        raised = np.minimum(counts, cap - 1)
        raised += 1
        np.copyto(raised, 1, where=differs)
        np.copyto(raised, fewer, where=kept)
        self._labels = np.where(kept, moved, labels)
        self._counts = raised
        return int(np.count_nonzero(kept)) / int(kept.size)

    def _check(self, labels: Labels, cap: int) -> None:
        if labels.shape != self._labels.shape or labels.dtype != self._labels.dtype:
            given = f"{labels.dtype} {list(labels.shape)}"
            own = f"{self._labels.dtype} {list(self._labels.shape)}"
            message = f"Labels are {given}; the stream has {own}."
            raise InputError(message, hint="Start anew when the size of the frames changes.")
        if not 1 <= cap <= LARGEST_CAP:
            message = f"The largest count is {cap}; expected 1 to {LARGEST_CAP}."
            raise UsageError(message)
