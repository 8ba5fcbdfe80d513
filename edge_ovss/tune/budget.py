"""The budget: limits on measured numbers, which must not contradict each other."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence

from edge_ovss.errors import UsageError
from edge_ovss.evaluation.gates import LICENSE, Gate, parse_gates
from edge_ovss.metrics.reported import TUNING

ACCURACY = ("miou", "miou_drop", "miou_drop_high", "overflow_share")
"""Numbers that need labeled data."""

# Each is at least as large as the one before it, whatever is measured.
_RISING = (("p50_ms", "p90_ms", "p99_ms"), ("miou_drop", "miou_drop_high"))
_RANGES = {
    "miou": (0.0, 100.0),
    "miou_drop": (-100.0, 100.0),
    "miou_drop_high": (-100.0, 100.0),
    "overflow_share": (0.0, 1.0),
}
_POSITIVE = (0.0, math.inf)
_EXAMPLE = 'For example --budget "p99_ms<=50,miou_drop<=1.0,peak_mib<=800".'


def parse_budget(text: str | None) -> tuple[Gate, ...]:
    """Parse "p99_ms<=50,miou_drop<=1.0"; None gives no limits.

    Raises:
        UsageError: A part is no limit, names an unknown number, or contradicts another one.
    """
    if text is not None and not text.strip():
        message = "--budget is empty; expected limits."
        raise UsageError(message, hint=_EXAMPLE)
    gates = parse_gates(text)
    _require_known(gates)
    bounds = {name: _bounds(gates, name) for name in TUNING}
    for name, (low, high, open_) in bounds.items():
        if low > high or (low == high and open_):
            _refuse([g for g in gates if g.name == name], "no number meets both")
        least, most = _RANGES.get(name, _POSITIVE)
        never = high < least or low > most or (high == least and open_)
        if never or (name not in _RANGES and high == 0.0):  # nothing takes no time, no memory
            said = f"{name} is always from {least:g} to {most:g}"
            said = f"{name} is always above 0" if most == math.inf else said
            _refuse([g for g in gates if g.name == name], said)
    _check_rising(gates, bounds)
    return gates


def _require_known(gates: Sequence[Gate]) -> None:
    for gate in gates:
        if gate.name == LICENSE:
            message = f"--budget has '{gate}', which is no figure that is measured."
            raise UsageError(message, hint="Check the licenses with: edge-ovss eval --gate")
        if gate.name not in TUNING:
            known = ", ".join(TUNING)
            message = f"--budget has '{gate}', and '{gate.name}' is none of: {known}."
            close = difflib.get_close_matches(gate.name, TUNING, n=1)
            raise UsageError(message, hint=f"Did you mean {close[0]}?" if close else _EXAMPLE)


def _bounds(gates: Sequence[Gate], name: str) -> tuple[float, float, bool]:
    """Return what is left of a number: lowest, highest, and whether an end is excluded."""
    low, high, low_open, high_open = -math.inf, math.inf, False, False
    for gate in gates:
        if gate.name != name:
            continue
        strict, limit = gate.operator in ("<", ">"), float(gate.limit)
        if gate.operator in ("<=", "<", "==") and limit <= high:
            high_open = strict or (high_open and limit == high)
            high = limit
        if gate.operator in (">=", ">", "==") and limit >= low:
            low_open = strict or (low_open and limit == low)
            low = limit
    return low, high, low_open or high_open


def _check_rising(gates: Sequence[Gate], bounds: Mapping[str, tuple[float, float, bool]]) -> None:
    for chain in _RISING:
        for place, small in enumerate(chain):
            for large in chain[place + 1 :]:
                if bounds[small][0] > bounds[large][1]:
                    both = [gate for gate in gates if gate.name in (small, large)]
                    _refuse(both, f"{small} is never above {large}")


def _refuse(gates: Sequence[Gate], why: str) -> None:
    shown = " and ".join(str(gate) for gate in gates)
    message = f"The budget cannot be met: {shown}; {why}."
    raise UsageError(message, hint=_EXAMPLE)


def without_accuracy(gates: Sequence[Gate]) -> tuple[tuple[Gate, ...], tuple[Gate, ...]]:
    """Return the limits that need no labels, and those that do."""
    needs = tuple(gate for gate in gates if gate.name in ACCURACY)
    return tuple(gate for gate in gates if gate.name not in ACCURACY), needs


def largest_drop(gates: Sequence[Gate]) -> float | None:
    """Return how many points of mIoU may be lost; None without such a limit."""
    drops = [g for g in gates if g.name.startswith("miou_drop") and g.operator[0] in "<="]
    limits = [float(gate.limit) for gate in drops]
    return min(limits) if limits else None
