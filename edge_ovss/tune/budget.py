"""The budget: limits on measured numbers, which must not contradict each other."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
_MEAN, _THROUGHPUT = "mean_ms", "throughput_fps"
_EXAMPLE = 'For example --budget "p99_ms<=50,miou_drop<=1.0,peak_mib<=800".'


@dataclass(frozen=True)
class _Bounds:
    """What the limits leave of a number, and whether an end itself is excluded."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def is_below(self, other: _Bounds) -> bool:
        """Return whether no number of these is as large as one of `other`."""
        is_open = self.high_open or other.low_open
        return self.high < other.low or (self.high == other.low and is_open)

    @property
    def is_empty(self) -> bool:
        """Whether there is no such number."""
        return self.is_below(self)

    @property
    def inverse(self) -> _Bounds:
        """What is left of 1000 divided by the number, which is positive."""
        low = 1e3 / self.high if self.high > 0 else math.inf
        high = 1e3 / self.low if self.low > 0 else math.inf
        return _Bounds(low, high, self.high_open, self.low_open)


def parse_budget(text: str | None) -> tuple[Gate, ...]:
    """Parse "p99_ms<=50,miou_drop<=1.0"; None gives no limits. A limit counts once.

    Raises:
        UsageError: A part is no limit, names an unknown number, or contradicts another one.
    """
    if text is not None and not text.strip():
        message = "--budget is empty; expected limits."
        raise UsageError(message, hint=_EXAMPLE)
    gates = tuple(dict.fromkeys(_parse(text)))
    bounds = {name: _bounds(gates, name) for name in TUNING}
    for name, found in bounds.items():
        if found.is_empty:
            _refuse([g for g in gates if g.name == name], "no number meets both")
        _check_range(gates, name, found)
    _check_rising(gates, bounds)
    _check_throughput(gates, bounds)
    return gates


def _parse(text: str | None) -> tuple[Gate, ...]:
    try:
        gates = parse_gates(text)
    except UsageError as err:
        message = f"--budget is '{text}'. {err.message}"
        raise UsageError(message, hint=_EXAMPLE) from err
    _require_known(gates)
    for gate in gates:
        if not math.isfinite(float(gate.limit)):
            message = f"--budget has '{gate}'; expected a finite number."
            raise UsageError(message, hint=_EXAMPLE)
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


def _bounds(gates: Sequence[Gate], name: str) -> _Bounds:
    """Return what is left of a number."""
    found = _Bounds()
    for gate in gates:
        if gate.name != name:
            continue
        is_open, limit = gate.operator in ("<", ">"), float(gate.limit)
        if gate.operator in ("<=", "<", "==") and limit <= found.high:
            is_open = is_open or (found.high_open and limit == found.high)
            found = replace(found, high=limit, high_open=is_open)
        if gate.operator in (">=", ">", "==") and limit >= found.low:
            is_open = is_open or (found.low_open and limit == found.low)
            found = replace(found, low=limit, low_open=is_open)
    return found


def _check_range(gates: Sequence[Gate], name: str, found: _Bounds) -> None:
    """Refuse limits outside of what a number can be: nothing takes no time and no memory."""
    least, most = _RANGES.get(name, _POSITIVE)
    possible = _Bounds(least, most, low_open=name not in _RANGES)
    if found.is_below(possible) or possible.is_below(found):
        said = f"{name} is always from {least:g} to {most:g}"
        said = said if name in _RANGES else f"{name} is always above 0"
        _refuse([gate for gate in gates if gate.name == name], said)


def _check_rising(gates: Sequence[Gate], bounds: Mapping[str, _Bounds]) -> None:
    for chain in _RISING:
        for small, large in itertools.combinations(chain, 2):
            if bounds[large].is_below(bounds[small]):
                both = [gate for gate in gates if gate.name in (small, large)]
                _refuse(both, f"{small} is never above {large}")


def _check_throughput(gates: Sequence[Gate], bounds: Mapping[str, _Bounds]) -> None:
    own, other = bounds[_THROUGHPUT], bounds[_MEAN].inverse
    if own.is_below(other) or other.is_below(own):
        both = [gate for gate in gates if gate.name in (_MEAN, _THROUGHPUT)]
        _refuse(both, f"{_THROUGHPUT} is 1000 / {_MEAN}")


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
