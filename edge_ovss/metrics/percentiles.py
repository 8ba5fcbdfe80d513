"""Summaries of times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def summarise(times: Sequence[float]) -> dict[str, float]:
    """Return mean, p50, p90, p99 and max of at least one time, in the unit that was given.

    A percentile is a time that was measured (the next higher one), not one between two.
    """
    p50, p90, p99 = np.quantile(times, [0.5, 0.9, 0.99], method="higher").tolist()
    return {
        "mean": float(np.mean(times)),
        "p50": p50,
        "p90": p90,
        "p99": p99,
        "max": float(np.max(times)),
    }
