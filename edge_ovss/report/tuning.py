"""What `tune` found, as a part of a page and as a page of its own."""

from __future__ import annotations

from html import escape

from edge_ovss._version import VERSION
from edge_ovss.report.data import Document
from edge_ovss.report.markup import STYLE, facts_of, legend, section, table_of
from edge_ovss.report.svg import Mark, scatter_plot

_SHOWN = ("miou", "miou_drop", "p50_ms", "p99_ms", "speedup_p50", "peak_mib", "bundle_mib")
_HEADERS = (
    "candidate",
    "front",
    "mIoU",
    "points lost",
    "p50 ms",
    "p99 ms",
    "times as fast",
    "peak MiB",
    "bundle MiB",
    "images",
)

_NOISY = (
    "<p class='bad'>The machine was busy with other programs: the default export took a different "
    "time against itself, and close times decide nothing.</p>"
)


def front_plot(found: Document) -> str:
    """Return points lost (without labels: peak memory) by time; the front is a line."""
    up = "peak_mib" if found["speed_only"] else "miou_drop"
    best = (found["recommended"] or {}).get("candidate")
    marks = [
        Mark(
            (row["numbers"]["p50_ms"], row["numbers"][up] or 0.0),
            row["title"],
            on_line=row["candidate"] in found["front"],
            chosen=row["candidate"] == best,
        )
        for row in found["candidates"]
        if row.get("numbers")
    ]
    what = "peak memory, MiB" if found["speed_only"] else "points of mIoU lost"
    # front.svg stands alone: nothing around it says what is upward.
    across = f"milliseconds (p50); upward: {what}"
    return scatter_plot(marks, title=f"{what} by milliseconds", across=across)


def tuning_part(found: Document) -> str:
    """Return the section of one run."""
    what = "peak memory" if found["speed_only"] else "points of mIoU lost, by time"
    rows = [
        (
            row["title"],
            "*" if row["candidate"] in found["front"] else "",
            *(row["numbers"][name] for name in _SHOWN),
            f"{row['images']}{'' if row['measured_on_all'] else ' (not all)'}",
        )
        for row in found["candidates"]
        if row.get("numbers")
    ]
    marks = legend("the front and other candidates", "recommended")
    failed = [(row["title"], row["error"]) for row in found["candidates"] if row.get("error")]
    notes = "".join(f"<li>{escape(text)}</li>" for text in found["notes"])
    return section(
        f"Tuning: {what}",
        _advice(found),
        _NOISY if found.get("noisy") else "",
        marks,
        front_plot(found),
        f"<ul>{notes}</ul>" if notes else "",
        table_of(_HEADERS, rows),
        f"<h3>Failed</h3>{facts_of(failed)}" if failed else "",
    )


def _advice(found: Document) -> str:
    best = found["recommended"]
    limits = ", ".join(found["budget"]) or "none"
    if best is None:
        return f"<p class='bad'>Nothing meets the budget: {escape(limits)}.</p>"
    commands = "\n".join(best["commands"])
    unchecked = ", ".join(found["not_checked"])
    more = f" Not checked, without labels: {escape(unchecked)}." if unchecked else ""
    return (
        f"<p>Recommended under the budget ({escape(limits)}): <b>{escape(best['title'])}</b>."
        f"{more}</p><pre class='wide'><code>{escape(commands)}</code></pre>"
        f"<p class='dim'>The rule: {escape(found['rule'])}.</p>"
    )


def tuning_page(found: Document) -> str:
    """Return a page of its own."""
    title = escape(str(found["model"] or ", ".join(found["bundles"])))
    environment = found["environment"]
    machine = [
        (name, str(value))
        for name, value in environment["machine"].items()
        if value and name not in ("executable", "cache")
    ]
    packages = [(name, value) for name, value in environment["packages"].items() if value]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}: tuning</title><style>{STYLE}</style></head><body><main>"
        f"<header><h1>{title}</h1></header>{tuning_part(found)}"
        f"{section('Environment', facts_of([*machine, *packages]))}"
        f"<footer>edge-ovss {VERSION}</footer></main></body></html>\n"
    )
