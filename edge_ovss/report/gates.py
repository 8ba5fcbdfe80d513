"""The gates that were asked for when a bundle was measured, and whether they held."""

from __future__ import annotations

from collections.abc import Iterator

from edge_ovss.report.data import Document, ReportData
from edge_ovss.report.scope import title_of

Row = tuple[str, str, str, bool]

HEADERS = ("measurement", "gate", "value", "held")


def gate_rows(data: ReportData) -> list[Row]:
    """Return a row for each gate: what was measured, the limit, the value, whether it held."""
    return [
        (title, str(gate.get("gate")), _value(gate.get("value")), gate.get("passed") is True)
        for title, document in _measurements(data)
        for gate in _gates(document)
    ]


def _measurements(data: ReportData) -> Iterator[tuple[str, Document]]:
    for one in data.evaluations:
        yield f"eval, {title_of(one)}, {one.get('backend')}", one
    for one in data.comparisons:
        yield f"parity, {one.get('dataset')}", one
    for one in data.benches:
        yield f"bench, {one.get('backend')}", one


def _gates(document: Document) -> list[Document]:
    found = document.get("gates")
    return [gate for gate in found if isinstance(gate, dict)] if isinstance(found, list) else []


def _value(value: object) -> str:
    return "none" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
