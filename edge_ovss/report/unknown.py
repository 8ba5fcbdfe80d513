"""The part of a report about "unknown": coverage, precision and recall, the risk-coverage curve."""

from __future__ import annotations

from html import escape

from edge_ovss.report.data import Document
from edge_ovss.report.markup import table_of
from edge_ovss.report.scope import title_of
from edge_ovss.report.svg import curve_plot

_COLUMNS = {
    "coverage": "labeled with a word %",
    "risk": "of which wrong %",
    "known_miou": "mIoU where the truth is a word",
    "unknown_precision": "precision of unknown",
    "unknown_recall": "recall",
    "unknown_iou": "IoU",
}


def unknown_part(evaluations: tuple[Document, ...]) -> str:
    """Return a table and plots of the evaluations in which a pixel may be unknown; "" for none."""
    found = [one for one in evaluations if isinstance(one.get("unknown"), dict)]
    if not found:
        return ""
    headers = ("data set", "thresholds", *_COLUMNS.values(), "area under risk-coverage")
    rows = [
        (
            title_of(one),
            thresholds_of(one),
            *(one["unknown"].get(key) for key in _COLUMNS),
            (one["unknown"].get("risk_coverage") or {}).get("aurc"),
        )
        for one in found
    ]
    plots = "".join(_plot(one) for one in found)
    return f"<h3>Unknown</h3>{table_of(headers, rows)}{plots}"


def thresholds_of(evaluation: Document) -> str:
    """Return the thresholds of an evaluation in words, such as "score below 0.2 (auto)"."""
    known = evaluation.get("thresholds")
    if not isinstance(known, dict):
        return "none"
    values = [float(value) for value in known["by_output"].values()]
    low, high = min(values), max(values)
    span = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
    return f"{known['measure']} below {span} ({known['source']})" if high else "off"


def _plot(evaluation: Document) -> str:
    numbers = evaluation["unknown"]
    points = [
        (float(x), float(y)) for x, y in (numbers.get("risk_coverage") or {}).get("points", [])
    ]
    if not points:
        return ""
    title = f"Risk by coverage, {title_of(evaluation)}"
    mark = None
    if numbers.get("coverage") is not None and numbers.get("risk") is not None:
        mark = (float(numbers["coverage"]), float(numbers["risk"]))
    about = "wrong pixels in % of those labeled, the surest first; the dot is what was measured"
    plot = curve_plot(points, title=title, across="labeled pixels in % of all", mark=mark)
    return f"<h3>{escape(title)}</h3><p class='dim'>{about}</p>{plot}"
