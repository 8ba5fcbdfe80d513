"""The sensitivity of blocks as JSON, Markdown and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from edge_ovss._files import write_bytes, write_json
from edge_ovss.calibration.budget import BlockCost, BudgetStep

TABLE_FILE = "reports/sensitivity.json"
MARKDOWN_FILE = "reports/sensitivity.md"
PLOT_FILE = "reports/sensitivity.svg"

_ROW, _TOP, _LEFT, _BAR, _RIGHT = 22, 56, 300, 360, 120
_STYLE = "font-family:sans-serif;font-size:12px"


def write_tables(
    folder: Path, costs: Sequence[BlockCost], steps: Sequence[BudgetStep], title: str
) -> None:
    """Write the three files into a bundle's folder.

    Raises:
        OutputError: One cannot be written.
    """
    (folder / "reports").mkdir(parents=True, exist_ok=True)
    document = {
        "kind": "sensitivity",
        "title": title,
        "blocks": [cost.to_json() for cost in costs],
        "steps": [
            {"back_to_float": step.back_to_float, "agreement": step.agreement, "drop": step.drop}
            for step in steps
        ],
    }
    write_json(folder / TABLE_FILE, document)
    write_bytes(folder / MARKDOWN_FILE, markdown(costs, steps, title).encode())
    write_bytes(folder / PLOT_FILE, plot(costs, steps, title).encode())


def markdown(costs: Sequence[BlockCost], steps: Sequence[BudgetStep], title: str) -> str:
    """Return the table for people."""
    back = set(steps[-1].back_to_float) if steps else set()
    lines = [
        f"# {title}",
        "",
        "One block in INT8, everything else in float; the most expensive block first.",
        "",
        "| block | products | labels that stay (%) | mIoU points lost | in the end |",
        "|---|---:|---:|---:|---|",
    ]
    for cost in costs:
        drop = "" if cost.drop is None else f"{cost.drop:.2f}"
        end = "float" if cost.block in back else "INT8"
        agreement = f"{100 * cost.agreement:.2f}"
        lines.append(f"| `{cost.block}` | {cost.products} | {agreement} | {drop} | {end} |")
    if steps:
        lines += ["", "| blocks back in float | labels that stay (%) | mIoU points lost |"]
        lines += ["|---:|---:|---:|"]
    lines += [
        f"| {len(step.back_to_float)} | {100 * step.agreement:.2f} | {step.drop:.2f} |"
        for step in steps
    ]
    return "\n".join(lines) + "\n"


def plot(costs: Sequence[BlockCost], steps: Sequence[BudgetStep], title: str) -> str:
    """Return an SVG with a bar per block, as long as its cost."""
    lost = [cost.drop is not None for cost in costs]
    by_miou = bool(costs) and all(lost)
    values = [cost.drop or 0.0 if by_miou else 100 * (1 - cost.agreement) for cost in costs]
    longest = max([1e-9, *values])
    back = set(steps[-1].back_to_float) if steps else set()
    height, width = _TOP + _ROW * len(costs) + 16, _LEFT + _BAR + _RIGHT
    what = "mIoU points lost" if by_miou else "labels that change (%)"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" style="{_STYLE}">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="20" font-weight="bold">{escape(title)}</text>',
        f'<text x="12" y="40">{what}; orange: back in float</text>',
    ]
    for place, (cost, value) in enumerate(zip(costs, values, strict=True)):
        y = _TOP + _ROW * place
        bar = max(1.0, _BAR * max(value, 0.0) / longest)
        color = "#e07b00" if cost.block in back else "#3a6ea5"
        parts += [
            f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(cost.block)}</text>',
            f'<rect x="{_LEFT}" y="{y}" width="{bar:.1f}" height="{_ROW - 6}" fill="{color}"/>',
            f'<text x="{_LEFT + bar + 6:.1f}" y="{y + 13}">{value:.2f}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
