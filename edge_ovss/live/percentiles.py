"""Percentiles of any number of values in a fixed amount of memory."""

from __future__ import annotations

import math

_LOWEST, _HIGHEST = 1e-6, 1e4
_STEP = 1.01
_LOG = math.log(_STEP)
_BINS = math.ceil(math.log(_HIGHEST / _LOWEST) / _LOG) + 1


class Percentiles:
    """Counts durations in bins that are one percent wide, so percentiles are right to one percent.

    Attributes:
        count: Number of values.
        highest: The largest value, exactly; 0 without values.
    """

    def __init__(self) -> None:
        self.count = 0
        self.highest = 0.0
        self._bins = [0] * _BINS

    def add(self, seconds: float) -> None:
        """Count one duration in seconds; between 1 µs and about 3 hours."""
        self.count += 1
        self.highest = max(self.highest, seconds)
        place = math.log(max(seconds, _LOWEST) / _LOWEST) / _LOG
        self._bins[min(int(place), _BINS - 1)] += 1

    def at(self, percent: float) -> float | None:
        """Return a percentile in seconds; None without values."""
        if not self.count:
            return None
        left = math.ceil(self.count * percent / 100) or 1
        for place, count in enumerate(self._bins):
            left -= count
            if left <= 0:
                middle: float = _LOWEST * _STEP ** (place + 0.5)
                return min(middle, self.highest)
        return self.highest

    def to_json(self) -> dict[str, float | None]:
        """Return p50, p90, p99 and the largest value in milliseconds."""
        found = {f"p{percent}": self.at(percent) for percent in (50, 90, 99)}
        found["max"] = self.highest if self.count else None
        return {name: None if v is None else round(1000 * v, 3) for name, v in found.items()}
