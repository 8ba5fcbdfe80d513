"""Ranges from values: pure functions on arrays, and what a histogram is clipped to.

All ranges are (lowest, highest) with lowest <= 0 <= highest, so that zero is exact in INT8.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_ovss.errors import UsageError

METHODS = ("minmax", "entropy", "percentile")
BINS = 2048
LEVELS = 128

Range = tuple[float, float]
Counts = NDArray[np.int64]


@dataclass
class Histogram:
    """Counts of values between two edges that were found in a first pass.

    Attributes:
        low: Lowest value of the first pass.
        high: Highest value of the first pass.
        counts: int64 [BINS].
    """

    low: float
    high: float
    counts: Counts = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def add(self, values: NDArray[np.float32]) -> None:
        """Count values; those outside of the edges count as the edges."""
        width = self.high - self.low
        if width <= 0 or not values.size:
            return
        places = ((values.ravel() - np.float32(self.low)) * np.float32(BINS / width)).astype(
            np.int32
        )
        self.counts += np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS)

    @property
    def centers(self) -> NDArray[np.float64]:
        """The middle of every bin."""
        return self.low + (np.arange(BINS) + 0.5) * (self.high - self.low) / BINS


def include_zero(low: float, high: float) -> Range:
    """Return the range widened to hold 0."""
    return min(low, 0.0), max(high, 0.0)


def percentile_range(histogram: Histogram, percent: float) -> Range:
    """Return the range between the two tails that hold 100 - `percent` percent of the values.

    Raises:
        UsageError: `percent` is not above 50 and at most 100.
    """
    if not 50.0 < percent <= 100.0:
        message = f"The percentile is {percent}; expected above 50 and at most 100."
        raise UsageError(message, hint="For example 99.99.")
    total = int(histogram.counts.sum())
    if not total:
        return include_zero(histogram.low, histogram.high)
    tail = total * (1.0 - percent / 100.0) / 2.0
    sums = np.cumsum(histogram.counts)
    edges = np.linspace(histogram.low, histogram.high, BINS + 1)
    first = int(np.searchsorted(sums, tail, side="right"))
    last = int(np.searchsorted(sums, total - tail, side="left"))
    return include_zero(float(edges[min(first, BINS - 1)]), float(edges[min(last, BINS - 1) + 1]))


def entropy_range(histogram: Histogram) -> Range:
    """Return the range whose 128 levels keep the most of the distribution of magnitudes (KL).

    Source: "8-bit inference with TensorRT" (S. Migacz, 2017).
    """
    largest = max(abs(histogram.low), abs(histogram.high))
    if largest <= 0 or not int(histogram.counts.sum()):
        return include_zero(histogram.low, histogram.high)
    places = np.minimum(np.abs(histogram.centers) / largest * BINS, BINS - 1).astype(np.int64)
    magnitudes = np.bincount(
        places, weights=histogram.counts.astype(np.float64), minlength=BINS
    ).astype(np.float64)
    limit = best_threshold(magnitudes) * largest / BINS
    return include_zero(max(histogram.low, -limit), min(histogram.high, limit))


def best_threshold(magnitudes: NDArray[np.float64]) -> int:
    """Return how many bins to keep, `LEVELS` to all, for the least KL divergence.

    Args:
        magnitudes: Counts by magnitude, from 0 up, float64 [n], n at least `LEVELS`.
    """
    divergences = {
        keep: _divergence(magnitudes, keep)
        for keep in range(LEVELS, len(magnitudes) + 1, LEVELS // 8)
    }
    # Among equals the widest: nothing is clipped without a reason.
    return min(divergences, key=lambda keep: (divergences[keep], -keep))


def _divergence(magnitudes: NDArray[np.float64], keep: int) -> float:
    kept = magnitudes[:keep]
    wanted = kept.copy()
    wanted[-1] += magnitudes[keep:].sum()
    groups = np.arange(keep) * LEVELS // keep
    used = kept > 0
    sums = np.bincount(groups, weights=kept, minlength=LEVELS)
    sizes = np.bincount(groups, weights=used, minlength=LEVELS)
    level = np.divide(sums, sizes, out=np.zeros(LEVELS), where=sizes > 0)
    coarse = np.where(used, level[groups], 0.0)
    if wanted.sum() <= 0 or coarse.sum() <= 0:
        return float("inf")
    p, q = wanted / wanted.sum(), coarse / coarse.sum()
    there = p > 0
    # What is clipped onto an empty last bin has no counterpart: a small floor makes it costly.
    return float((p[there] * np.log(p[there] / np.maximum(q[there], 1e-12))).sum())
