"""Gates: limits on measured numbers, and on licenses, that decide whether a check passes."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt

from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import GateError, UsageError
from edge_ovss.metrics.license_terms import COMMERCIAL, use_of

Value = float | str | None
"""A measured number, or what the licenses allow in words; None if there is none."""

LICENSE = "licence"

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": le,
    ">=": ge,
    "<": lt,
    ">": gt,
    "==": eq,
}
_LICENSE = re.compile(r"\s*licen[cs]e\b(.*)", re.IGNORECASE)
_FORM = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(<=|>=|==|<|>)\s*(\S+)\s*")
_EXAMPLE = 'For example --gate "miou_drop<=0.5,label_agreement>=0.995,p99_ms<=50".'


@dataclass(frozen=True)
class Gate:
    """One limit: `name` `operator` `limit`, such as p99_ms <= 50 or licence = commercial."""

    name: str
    operator: str
    limit: float | str

    def __str__(self) -> str:
        limit = self.limit if isinstance(self.limit, str) else f"{self.limit:g}"
        return f"{self.name}{self.operator}{limit}"

    def holds(self, value: Value) -> bool:
        """Return whether a measured value passes; a missing value or NaN does not."""
        if isinstance(value, str) or isinstance(self.limit, str):
            return value == self.limit
        # Every comparison with NaN is false.
        return value is not None and _OPERATORS[self.operator](value, self.limit)


@dataclass(frozen=True)
class Verdict:
    """A gate with the measured value."""

    gate: Gate
    value: Value
    passed: bool

    @property
    def text(self) -> str:
        """One line of text; for a failure it says by how much."""
        if _is_missing(self.value):
            return f"{self.gate}: FAILED, there is no value"
        if isinstance(self.value, str) or isinstance(self.gate.limit, str):
            return f"{self.gate}: {'held' if self.passed else f'FAILED, {self.value}'}"
        assert self.value is not None  # it is not missing
        if self.passed:
            return f"{self.gate}: held, {self.value:.6g}"
        missed = abs(self.value - self.gate.limit)
        return f"{self.gate}: FAILED, {self.value:.6g} misses the limit by {missed:.6g}"

    def to_json(self) -> dict[str, object]:
        """Return the verdict as a JSON object."""
        value = None if _is_missing(self.value) else self.value
        gate, limit = self.gate, self.gate.limit
        # JSON has no infinity.
        limit = limit if isinstance(limit, str) or math.isfinite(limit) else str(limit)
        parts = {"name": gate.name, "operator": gate.operator, "limit": limit}
        return {"gate": str(gate), **parts, "value": value, "passed": self.passed}


def _is_missing(value: Value) -> bool:
    return value is None or (not isinstance(value, str) and math.isnan(value))


def license_value(*bundles: Bundle) -> dict[str, Value]:
    """Return what the licenses of bundles allow, as a value for gates: the worst of them."""
    uses = {bundle.path.name: use_of(bundle.manifest.licenses) for bundle in bundles}
    failing = {name: use for name, use in uses.items() if use.status != COMMERCIAL}
    if len(bundles) == 1 or not failing:
        return {LICENSE: str(next(iter(failing.values()), COMMERCIAL))}
    return {LICENSE: "; ".join(f"{name} is {use}" for name, use in failing.items())}


def parse_gates(text: str | None) -> tuple[Gate, ...]:
    """Parse "miou_drop<=0.5,p99_ms<=50"; None gives no gates.

    Raises:
        UsageError: A part is not a limit on a number.
    """
    return () if text is None else tuple(_parse(part) for part in text.split(","))


def _parse(part: str) -> Gate:
    if licensed := _LICENSE.fullmatch(part):
        if re.fullmatch(rf"\s*==?\s*{COMMERCIAL}\s*", licensed[1]) is None:
            message = f"Gate '{part.strip()}' is malformed; expected {LICENSE}={COMMERCIAL}."
            raise UsageError(message)
        return Gate(LICENSE, "=", COMMERCIAL)
    found = _FORM.fullmatch(part)
    try:
        limit = float(found[3]) if found else math.nan
    except ValueError:
        limit = math.nan
    if found is None or math.isnan(limit):
        message = f"Gate '{part}' is malformed; expected NAME<=NUMBER (or >=, <, >, ==)."
        raise UsageError(message, hint=_EXAMPLE)
    return Gate(found[1], found[2], limit)


def require_known(gates: Sequence[Gate], names: Sequence[str]) -> None:
    """Check, before anything is measured, that every gate names a number that will be measured.

    Raises:
        UsageError: A name is unknown; the message lists the known ones.
    """
    for gate in gates:
        if gate.name not in (*names, LICENSE):
            known = ", ".join(dict.fromkeys((*names, LICENSE)))
            close = difflib.get_close_matches(gate.name, names, n=1)
            message = f"Gate '{gate}' names an unknown number; expected one of: {known}."
            raise UsageError(message, hint=f"Did you mean '{close[0]}'?" if close else None)


def check_gates(gates: Sequence[Gate], numbers: Mapping[str, Value]) -> tuple[Verdict, ...]:
    """Compare every gate with the measured numbers.

    Raises:
        UsageError: A gate names an unknown number.
    """
    require_known(gates, tuple(numbers))
    verdicts = []
    for gate in gates:
        value = numbers[gate.name]
        verdicts.append(Verdict(gate, value, gate.holds(value)))
    return tuple(verdicts)


def require_passed(verdicts: Sequence[Verdict]) -> None:
    """Raise an error if a gate failed.

    Raises:
        GateError: Lists every failed gate and by how much it failed (exit status 6).
    """
    failed = [verdict.text for verdict in verdicts if not verdict.passed]
    if failed:
        message = f"{len(failed)} of {len(verdicts)} gates failed: {'; '.join(failed)}."
        raise GateError(message)
