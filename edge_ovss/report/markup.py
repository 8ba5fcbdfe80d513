"""The building blocks of a report page: style sheet, sections, tables, lists of facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

# More facts than this in one place are folded away.
_MOST_FACTS = 12


def table_of(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; None is shown as "-", and False stands out."""
    head = "".join(f"<th>{escape(name)}</th>" for name in headers)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return f'<b class="{"good" if value else "bad"}">{"yes" if value else "NO"}</b>'
    return escape(
        f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    )


def facts_of(pairs: Iterable[tuple[str, object]]) -> str:
    """Return a list of names and values."""
    rows = "".join(f"<dt>{escape(k)}</dt><dd>{_cell(v)}</dd>" for k, v in pairs)
    return f"<dl>{rows}</dl>"


def section(title: str, *parts: str) -> str:
    """Return a section of the page."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def missing(what: str, command: str) -> str:
    """Return a remark with the command that measures what is missing."""
    return f"<p class='dim'>{escape(what)} <code>{escape(command)}</code></p>"


def legend(first: str, second: str) -> str:
    """Return the legend of a plot with two colors."""
    marks = ((f"<i class='{kind}'></i>", name) for kind, name in (("one", first), ("two", second)))
    return f"<p class='legend'>{''.join(mark + escape(name) for mark, name in marks)}</p>"


_Pairs = list[tuple[str, object]]


def flatten(prefix: str, facts: Mapping[str, Any]) -> tuple[_Pairs, list[tuple[str, _Pairs]]]:
    """Return short facts by name, and separately those too long to read at a glance."""
    pairs: _Pairs = []
    lists: list[tuple[str, _Pairs]] = []
    for key, value in facts.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and len(value) <= _MOST_FACTS:
            inner, long = flatten(f"{name}: ", value)
            pairs += inner
            lists += long
        elif isinstance(value, dict):
            lists.append((name, [(str(k), _brief(v)) for k, v in value.items()]))
        elif isinstance(value, list) and len(value) > _MOST_FACTS:
            lists.append((name, [(str(k), _brief(v)) for k, v in enumerate(value)]))
        else:
            pairs.append((name, _brief(value)))
    return pairs, lists


def _brief(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = ", ".join(map(_brief, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 300 else f"{text[:300]}… ({len(text)} characters)"


STYLE = """
:root{--paper:#fcfcfb;--card:#fff;--ink:#1d1f23;--dim:#62666d;--line:#e3e4e6;
--one:#2a78d6;--two:#d9572b;--good:#17803d;--bad:#c62828}
@media (prefers-color-scheme:dark){:root{--paper:#16181b;--card:#1e2125;--ink:#e8e9eb;
--dim:#9ca1a9;--line:#34383e;--one:#5a9cf0;--two:#f08a5d;--good:#5cc98a;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px 20px 60px}
h1{font-size:26px;margin:8px 0 0;overflow-wrap:anywhere}
h2{font-size:19px;margin:0 0 12px}
h3{font-size:15px;margin:22px 0 6px;overflow-wrap:anywhere}
header p,.dim,footer,figcaption,summary{color:var(--dim)}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;
padding:18px 20px;margin:18px 0}
.tiles{display:flex;flex-wrap:wrap;gap:12px;margin-top:14px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;
padding:10px 16px;min-width:130px}
.tile b{display:block;font-size:22px;font-variant-numeric:tabular-nums}
.tile span{color:var(--dim);font-size:13px}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:5px 12px 5px 0;border-bottom:1px solid var(--line);
vertical-align:top}
td:first-child{overflow-wrap:anywhere;min-width:110px}
th{color:var(--dim);font-weight:600}
dl{display:grid;grid-template-columns:minmax(150px,max-content) 1fr;gap:3px 18px;margin:8px 0;
font-size:14px}
dt{color:var(--dim)}
dd{margin:0;overflow-wrap:anywhere}
.row{display:grid;grid-template-columns:repeat(4,1fr);gap:10px}
@media (max-width:700px){.row{grid-template-columns:repeat(2,1fr)}}
figure{margin:0}
img{width:100%;border-radius:6px;display:block;image-rendering:auto}
figcaption{font-size:12.5px;text-align:center}
svg{width:100%;height:auto;max-width:860px;display:block;font-size:12px}
svg text{fill:var(--ink)}
svg text.dim{fill:var(--dim)}
svg .grid{stroke:var(--line);stroke-width:1}
svg rect.one{fill:var(--one)}
svg circle.one{fill:var(--one)}
svg circle.two{fill:var(--two)}
svg line.two{stroke:var(--two);stroke-width:3}
svg .line{fill:none;stroke-width:2}
svg .line.one{stroke:var(--one)}
svg .line.two{stroke:var(--two)}
.legend{font-size:13px;color:var(--dim);margin:4px 0}
.legend i{display:inline-block;width:12px;height:12px;border-radius:3px;margin:0 6px -1px 0}
.legend i+i,.legend i.two{margin-left:16px}
.legend i.one{background:var(--one)}
.legend i.two{background:var(--two)}
.chips{display:flex;flex-wrap:wrap;gap:4px 14px;font-size:13px;margin:6px 0}
.chips i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:6px}
details{margin-top:12px}
.good{color:var(--good)}
.bad{color:var(--bad)}
code{font-size:13px}
footer{font-size:13px;margin-top:20px}
@media print{section{break-inside:avoid}}
"""
