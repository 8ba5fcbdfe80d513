"""Ranges from values: pure functions on arrays."""

from __future__ import annotations

import numpy as np
import pytest

from edge_ovss.calibration.histograms import (
    BINS,
    Histogram,
    best_threshold,
    entropy_range,
    include_zero,
    percentile_range,
)
from edge_ovss.calibration.ranges import RangeMethod
from edge_ovss.errors import UsageError


def histogram(*values: float, low: float | None = None, high: float | None = None) -> Histogram:
    array = np.asarray(values, np.float32)
    found = Histogram(
        float(array.min()) if low is None else low, float(array.max()) if high is None else high
    )
    found.add(array)
    return found


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.0, 2.0, (0.0, 2.0)),
        (-3.0, -1.0, (-3.0, 0.0)),
        (-1.0, 4.0, (-1.0, 4.0)),
        (0.0, 0.0, (0, 0)),
    ],
    ids=["positive", "negative", "both", "zero"],
)
def test_every_range_holds_zero(low: float, high: float, expected: tuple[float, float]) -> None:
    assert include_zero(low, high) == expected


def test_values_are_counted_once_and_the_highest_is_inside() -> None:
    found = histogram(-1.0, 0.0, 1.0, 1.0)
    assert found.counts.sum() == 4
    assert found.counts[0] == 1
    assert found.counts[-1] == 2


def test_a_constant_has_no_histogram_but_a_range() -> None:
    found = histogram(5.0, 5.0)
    assert found.counts.sum() == 0
    assert percentile_range(found, 99.9) == (0.0, 5.0)
    assert entropy_range(found) == (0.0, 5.0)


def test_a_percentile_of_100_keeps_everything() -> None:
    low, high = percentile_range(histogram(-2.0, *np.linspace(-1, 1, 999), 7.0), 100.0)
    assert (low, high) == (-2.0, 7.0)


def test_a_percentile_drops_a_lonely_outlier() -> None:
    values = np.random.default_rng(0).normal(size=100_000)
    low, high = percentile_range(histogram(*values, 100.0), 99.9)
    assert 2.5 < high < 4.5
    assert -4.5 < low < -2.5


@pytest.mark.parametrize("percent", [50.0, 0.0, 101.0, float("nan")])
def test_a_senseless_percentile_is_refused(percent: float) -> None:
    with pytest.raises(UsageError, match="percentile"):
        RangeMethod("percentile", percent)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(UsageError, match="'mse'"):
        RangeMethod("mse")


def test_entropy_keeps_a_uniform_distribution_whole() -> None:
    assert best_threshold(np.full(BINS, 10.0)) == BINS


def test_entropy_clips_a_long_thin_tail() -> None:
    values = np.random.default_rng(1).normal(size=200_000)
    low, high = entropy_range(histogram(*values, 60.0, -60.0))
    assert 2.0 < high < 30.0
    assert low == pytest.approx(-high)


def test_entropy_never_widens_a_range() -> None:
    low, high = entropy_range(histogram(*np.abs(np.random.default_rng(2).normal(size=50_000))))
    assert low == 0.0
    assert 0.0 < high <= 6.0
