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


def flat(low: float, high: float, *, each: int) -> Histogram:
    """A histogram with the same count in every bin."""
    return Histogram(low, high, np.full(BINS, each, np.int64))


@pytest.mark.parametrize(("percent", "dropped"), [(87.5, 128), (99.0, 10), (98.0, 20), (100.0, 0)])
def test_a_percentile_drops_half_of_the_rest_at_each_end(percent: float, dropped: int) -> None:
    # Bins are 1 wide: 12.5 % of 2048 are 256, so 128 go on each side, and exactly so.
    edge = BINS / 2 - dropped
    assert percentile_range(flat(-BINS / 2, BINS / 2, each=100), percent) == (-edge, edge)


@pytest.mark.parametrize("percent", [50.0, np.nextafter(100.0, 101.0)])
def test_percentiles_outside_of_their_limits_are_refused(percent: float) -> None:
    with pytest.raises(UsageError, match="above 50 and at most 100"):
        percentile_range(flat(0.0, 1.0, each=1), float(percent))


def test_the_least_percentile_keeps_half_of_the_values() -> None:
    low, high = percentile_range(flat(-BINS / 2, BINS / 2, each=100), 50.0001)
    assert (low, high) == (-513.0, 513.0)


def test_among_equally_good_thresholds_the_widest_is_taken() -> None:
    for filled in (64, 128, 0):
        magnitudes = np.zeros(BINS)
        magnitudes[:filled] = 3.0
        assert best_threshold(magnitudes) == BINS


def test_a_threshold_is_looked_for_in_steps_of_an_eighth_of_the_levels() -> None:
    # 144 bins of values and one far away: what is cut off costs less than coarser levels.
    magnitudes = np.zeros(BINS)
    magnitudes[:144] = np.random.default_rng(0).integers(1, 1000, 144)
    magnitudes[-1] = 1
    assert best_threshold(magnitudes) == 144


def test_no_bin_is_kept_but_all_of_them_where_there_are_as_many_as_levels() -> None:
    assert best_threshold(np.arange(128, dtype=np.float64)) == 128


def test_values_at_both_edges_of_a_histogram_and_beyond_count_as_the_edges() -> None:
    found = Histogram(-1.0, 1.0)
    found.add(np.array([-5.0, -1.0, 1.0, 5.0], np.float32))
    assert found.counts[0] == found.counts[-1] == 2
    assert found.counts.sum() == 4
    assert found.centers[0] == pytest.approx(-1 + 1 / BINS)
    assert found.centers[-1] == pytest.approx(1 - 1 / BINS)


@pytest.mark.parametrize("low", [-1.0, 0.0])
def test_entropy_is_of_magnitudes_and_each_side_ends_where_its_values_do(low: float) -> None:
    found = Histogram(low, 2.0)
    found.counts[:] = 1
    assert entropy_range(found) == (low, 2.0)
    mirrored = Histogram(-2.0, -low)
    mirrored.counts[:] = 1
    assert entropy_range(mirrored) == (-2.0, -low)


def test_the_title_of_a_method_tells_percentiles_apart() -> None:
    titles = [
        RangeMethod().title,
        RangeMethod("entropy").title,
        *(RangeMethod("percentile", p).title for p in (99.9, 99.99, 99.0, 100.0)),
    ]
    assert titles == [
        "minmax",
        "entropy",
        "percentile 99.9",
        "percentile 99.99",
        "percentile 99",
        "percentile 100",
    ]
