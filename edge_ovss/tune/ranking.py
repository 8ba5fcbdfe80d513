"""Which candidates are worth measuring further, which to recommend, and which are on the front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_ovss.evaluation.gates import Gate
from edge_ovss.tune.budget import largest_drop
from edge_ovss.tune.rows import Row

TIE = 1.05
"""Times whose ratio is at most this are equal: a play-off measures no better."""

WORTH = 1.10
"""A setting that gains less alone is not combined with others: times of different minutes are that
uncertain."""

SLACK = 1.25
"""A limit may be missed by so much in a cheap measurement."""

SAME = 0.1
"""Points of mIoU that are equal where the most accurate candidate is wanted."""

Numbers = Mapping[str, float | None]


def is_hopeless(row: Row, numbers: Numbers, gates: Sequence[Gate]) -> bool:
    """Return whether a candidate misses the budget by more than noise can explain."""
    limit, least = largest_drop(gates), row.least_drop
    if limit is not None and least is not None and least > limit:
        return True
    return any(
        not gate.holds(_favored(gate, numbers[gate.name]))
        for gate in gates
        if not gate.name.startswith("miou")
    )


def _favored(gate: Gate, value: float | None) -> float | None:
    if value is None:
        return None
    if gate.operator.startswith("<"):
        return value / SLACK
    return value * SLACK if gate.operator.startswith(">") else float(gate.limit)


def meets(numbers: Numbers, gates: Sequence[Gate]) -> bool:
    """Return whether measured numbers meet every limit."""
    return all(gate.holds(numbers[gate.name]) for gate in gates)


def recommend(rows: Sequence[Row], numbers: Sequence[Numbers], gates: Sequence[Gate]) -> Row | None:
    """Return the row to recommend; None if none meets the budget.

    Of those that meet it, the most accurate ones if the budget says nothing of accuracy
    (`wants_accuracy`), which are within `SAME` of the best. Of them the fastest; times within
    `TIE` of it are equal, and of equal ones the one that differs least from the default export is
    taken, then the one that loses least, then the first. So noise decides only where a time is by
    chance at the edge of a tie.
    """
    passing = [row for row, found in zip(rows, numbers, strict=True) if meets(found, gates)]
    if not passing:
        return None
    passing = _most_accurate(passing, gates)
    fastest = min(row.ratio for row in passing)
    tied = [row for row in passing if row.ratio <= TIE * fastest]
    return min(tied, key=lambda row: (row.candidate.departures, row.drop or 0.0))


def close_ones(rows: Sequence[Row], numbers: Sequence[Numbers], gates: Sequence[Gate]) -> list[Row]:
    """Return what may be recommended once times are known better, those with few settings first.

    Times may be off by `SLACK`; the other limits must be met, for a play-off measures times alone.
    """
    exact = [gate for gate in gates if not is_of_time(gate)]
    able = [
        row
        for row, found in zip(rows, numbers, strict=True)
        if meets(found, exact) and not is_hopeless(row, found, gates)
    ]
    able = _most_accurate(able, gates)
    fastest = min((row.ratio for row in able), default=0.0)
    near = [row for row in able if row.ratio <= SLACK * fastest]
    return sorted(near, key=lambda row: (row.candidate.departures, row.ratio))


def is_of_time(gate: Gate) -> bool:
    """Return whether a limit is on a time, or on what follows from it."""
    return gate.name.endswith("_ms") or gate.name in ("throughput_fps", "speedup_p50")


def _most_accurate(rows: list[Row], gates: Sequence[Gate]) -> list[Row]:
    """Return the most accurate ones if the budget says nothing of accuracy, else all."""
    if not wants_accuracy(rows, gates):
        return rows
    least = min(row.drop or 0.0 for row in rows)
    return [row for row in rows if (row.drop or 0.0) <= least + SAME]


def wants_accuracy(rows: Sequence[Row], gates: Sequence[Gate]) -> bool:
    """Return whether the most accurate candidate is wanted, not the fastest.

    So it is where accuracy was measured and the budget has no limit on it.
    """
    limited = any(gate.name.startswith("miou") for gate in gates)
    return not limited and any(row.drop is not None for row in rows)


def front_of(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that no other one beats, from fast to slow.

    By time and points lost; without labels by time and peak memory.
    """
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: (row.ratio, _cost(row))):
        if not kept or _cost(row) < _cost(kept[-1]):
            kept.append(row)
    return kept


def _cost(row: Row) -> float:
    return float(row.found["peak_mib"] or 0.0) if row.drop is None else row.drop
