"""The label counter: a label stays until the network has contradicted it often enough.

Two planes of the frame's size go along with the motion: the label L of every pixel, and the count
c of how often it was confirmed. The C++ library computes the same, byte for byte.

Motion is known to a pixel or so, and fast motion to less. So where a pixel moves fast, a label
gives way at once if the one that the network says stands next to it: that is no flicker, but an
edge that the motion put beside its place. On a narrow pole, every pixel is next to an edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ovss.errors import InputError, UsageError
from edge_ovss.motion.following import Following
from edge_ovss.motion.vectors import Labels

LEAST_CAP = 2
LARGEST_CAP = 255
_COLUMNS = 480
_FAST = 2


def reach_of(width: int) -> int:
    """Return how far an edge may be from its place, in pixels: one in 480 columns, rounded."""
    return max(1, (2 * width + _COLUMNS) // (2 * _COLUMNS))


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
        self._counts: NDArray[np.uint8] = np.zeros((0, 0), np.uint8)

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
        self._labels = labels.copy()
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
        self._labels, self._counts = sources.both(self._labels, self._counts)

    def count(self, labels: Labels, cap: int, sources: Following | None = None) -> float:
        """Compare the network's labels with those that moved here, and keep the surer ones.

        Args:
            labels: What the network says now, [H, W].
            cap: The largest count, 1 to 255; with 1 the network is always right.
            sources: The motion to this frame; None: nothing moved.

        Returns:
            The share of pixels that keep a label against the network, 0 to 1.

        Raises:
            InputError: The labels have another size or type.
            UsageError: The cap is out of range.
        """
        self._check(labels, cap)
        moved, counts = self._labels, self._counts
        differs = labels != moved
        kept = np.flatnonzero(differs & (counts > 1))
        if sources is not None:
            kept = self._without_edges(kept, labels, sources)
        # numpy takes the smaller of two planes twenty times as fast as of a plane and a number.
        self._counts = np.minimum(counts, np.full_like(counts, cap - 1))
        self._counts *= ~differs
        self._counts += 1
        self._labels = labels.copy()
        self._counts.ravel()[kept] = counts.ravel()[kept] - 1
        self._labels.ravel()[kept] = moved.ravel()[kept]
        return len(kept) / labels.size

    def _without_edges(
        self, kept: NDArray[np.intp], labels: Labels, sources: Following
    ) -> NDArray[np.intp]:
        """Leave out pixels that move fast and have what the network says beside them."""
        height, width = self.size
        reach = reach_of(width)
        fast = sources.is_far(kept, _FAST * reach)
        at = kept[fast]
        row, col = np.divmod(at, width)
        said, moved = labels.ravel()[at], self._labels.ravel()
        beside = np.zeros(len(at), np.bool_)
        for step, inside in (
            (-reach * width, row >= reach),
            (reach * width, row < height - reach),
            (-reach, col >= reach),
            (reach, col < width - reach),
        ):
            # What is outside counts as the pixel itself, whose label is another.
            beside |= moved[np.where(inside, at + step, at)] == said
        fast[fast] = beside
        return kept[~fast]

    def _check(self, labels: Labels, cap: int) -> None:
        if labels.shape != self._labels.shape or labels.dtype != self._labels.dtype:
            given = f"{labels.dtype} {list(labels.shape)}"
            own = f"{self._labels.dtype} {list(self._labels.shape)}"
            message = f"Labels are {given}; the stream has {own}."
            raise InputError(message, hint="Start anew when the size of the frames changes.")
        if not 1 <= cap <= LARGEST_CAP:
            message = f"The largest count is {cap}; expected 1 to {LARGEST_CAP}."
            raise UsageError(message)
