"""The risk-coverage curve: how wrong labels are, by how few of them are given.

Pixels are taken in the order of a measure, the surest first. The more are taken (coverage), the
more of them are wrong (risk). The area under the curve is one number for how well the measure
knows: the lower, the better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS = 1000
"""Steps between the lowest and the highest value of a measure."""

Tally = NDArray[np.int64]
_POINTS = 101


def step_of(values: NDArray[Any], bounds: tuple[float, float]) -> NDArray[np.int64]:
    """Return the step of each value, in [0, STEPS]; a value that is no number is in the last.

    A pixel is below the threshold of step n, `threshold_of(n)`, if its own step is below n. So
    steps are compared as the graph compares: in float32.
    """
    edges = thresholds(bounds)[1:]
    # A value that is not a number is below no threshold; numpy sorts it behind all others.
    return np.searchsorted(edges, values.astype(np.float32), side="right").astype(np.int64)


def thresholds(bounds: tuple[float, float]) -> NDArray[np.float32]:
    """Return the threshold of each step, float32 [STEPS + 1], the lowest value first."""
    return np.linspace(*bounds, STEPS + 1, dtype=np.float32)


def count_steps(right: NDArray[np.bool_], steps: NDArray[np.int64]) -> Tally:
    """Count wrong and right pixels [n] by step, int64 [2, STEPS + 1]."""
    pairs = right.astype(np.int64) * (STEPS + 1) + steps
    return np.bincount(pairs, minlength=2 * (STEPS + 1)).reshape(2, STEPS + 1)


def from_above(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many there are at each step and above, [..., STEPS + 1]."""
    summed: NDArray[np.int64] = np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1]
    return summed


def pack_tally(tally: Tally) -> list[list[int]]:
    """Return the steps that occur as [step, wrong, right], for JSON."""
    steps = np.flatnonzero(tally.sum(0))
    packed: list[list[int]] = np.stack([steps, *tally[:, steps]], axis=1).tolist()
    return packed


def unpack_tally(packed: list[list[int]]) -> Tally:
    """Return what `pack_tally` packed.

    Raises:
        ValueError, IndexError: It is something else.
    """
    tally = np.zeros((2, STEPS + 1), np.int64)
    if packed:
        steps, wrong, right = np.asarray(packed, np.int64).T
        tally[:, steps] = wrong, right
    return tally


@dataclass(frozen=True)
class RiskCoverage:
    """The curve, from one step of the measure to the next.

    Attributes:
        coverage: float64 [STEPS + 1], share of pixels at or above each threshold, from 1 down.
        risk: float64 [STEPS + 1], share of wrong ones among them; NaN where there is none.
        area: Area under the curve, in [0, 1].
    """

    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    area: float

    @classmethod
    def of(cls, tally: Tally) -> RiskCoverage:
        """Return the curve of pixels that `count_steps` counted, of which there are some."""
        wrong, both = from_above(tally[0]), from_above(tally.sum(0))
        coverage = both / both[0]
        risk = np.divide(wrong, both, out=np.full(both.shape, np.nan), where=both > 0)
        return cls(coverage, risk, _area(coverage, risk))

    def to_json(self) -> dict[str, object]:
        """Return at most 101 points as [coverage, risk] in percent, and the area in percent."""
        taken = self.coverage > 0
        points = np.stack([self.coverage[taken], self.risk[taken]], axis=1)[::-1]
        # Evenly spaced in coverage: thousands of steps may hold next to no pixels.
        places = np.searchsorted(points[:, 0], np.linspace(0, 1, _POINTS))
        chosen = points[np.unique(np.minimum(places, len(points) - 1))]
        return {"aurc": 100 * self.area, "points": np.round(100 * chosen, 4).tolist()}


def _area(coverage: NDArray[np.float64], risk: NDArray[np.float64]) -> float:
    """Return the area by trapezoids; where nothing is taken, the risk is that of the surest."""
    taken = coverage > 0
    across, height = coverage[taken][::-1], risk[taken][::-1]
    inner = (np.diff(across) * (height[1:] + height[:-1]) / 2).sum()
    return float(inner + across[0] * height[0])
