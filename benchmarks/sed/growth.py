"""How latency and memory of SED grow with the vocabulary: ours, and torch's published order.

    python -m benchmarks.sed.growth --prepare --out out/growth
    python -m benchmarks.sed.growth --out out/growth

The second call races every vocabulary (or those of --only) and prints the table of all that have
been raced; it also writes `growth.json` and `growth.svg`. Graphs have random weights, and
embeddings of which about as many categories survive as the paper reports (`fixture.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.sed import runtime as sed_runtime
from benchmarks.shared.race import Contestant, race

# Vocabulary: survivors that the embeddings are made for, and slots with some room.
SIZES = {
    "voc20": (12, 16),
    "pc59": (18, 24),
    "ade150": (27, 32),
    "pc459": (38, 48),
    "ade847": (45, 48),
}
COMPRESSED = {"ade847": 16}


def main() -> None:
    """Write the graphs, or race them and report."""
    args = _arguments()
    out = Path(args.out).resolve()
    for name in args.only.split(","):
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        if args.prepare:
            _prepare(folder, name, args.model)
        else:
            _race(folder, name, args)
    rows = [json.loads(path.read_text()) for path in out.glob("*/row.json")]
    rows.sort(key=lambda row: row["categories"])
    if rows:
        (out / "growth.json").write_text(json.dumps(rows, indent=2))
        (out / "growth.svg").write_text(plot(rows))
        print(table(rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="sed-base")
    parser.add_argument("--only", default=",".join(SIZES), help="vocabularies")
    parser.add_argument("--prepare", action="store_true", help="write the graphs, race later")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", default="out/growth")
    return parser.parse_args()


def _prepare(folder: Path, name: str, model: str) -> None:
    from benchmarks.sed.graphs import Maker
    from benchmarks.shared.fixture import write_setting

    survivors, slots = SIZES[name]
    maker = Maker(model, name, survivors=survivors, slots=(slots, slots, slots))
    maker.embeddings.save(folder / "pack.npz")
    write_setting(folder, maker.model)
    work = {"ours": maker.write(sed_runtime.graph_path(folder, "ours"))}
    work["torch"] = maker.published_multiply_adds((survivors, survivors, survivors))
    if name in COMPRESSED:
        path = sed_runtime.graph_path(folder, "compressed")
        work["compressed"] = maker.write(path, rank=COMPRESSED[name])
    facts = {"categories": len(maker.vocabulary), "slots": slots, "work": work}
    (folder / "facts.json").write_text(json.dumps(facts))


def _race(folder: Path, name: str, args: argparse.Namespace) -> None:
    from benchmarks.sed import contestants as sed_contestants
    from benchmarks.sed.against_torch import measured_peak

    contestants = [
        Contestant("ours", partial(sed_runtime.graph, "ours")),
        Contestant("torch", sed_contestants.torch_eager),
    ]
    if name in COMPRESSED:
        contestants.append(Contestant("compressed", partial(sed_runtime.graph, "compressed")))
    peak = measured_peak(args.threads)
    race(contestants, folder, repeats=args.repeats, threads=args.threads)
    facts = json.loads((folder / "facts.json").read_text())
    weights = (folder / "ours" / "model.onnx.data").stat().st_size / 2**20
    row = {**facts, "peak_gmac_per_s": peak, "load": os.getloadavg(), "weights_mib": weights}
    row["programs"] = {each.name: _measured(each, facts, contestants[0]) for each in contestants}
    (folder / "row.json").write_text(json.dumps(row, indent=2))


def _measured(given: Contestant, facts: dict[str, Any], first: Contestant) -> dict[str, Any]:
    if given.failure is not None or given.labels is None or first.labels is None:
        return {"failure": given.failure}
    return {
        "median_s": statistics.median(given.seconds),
        "min_s": min(given.seconds),
        "max_s": max(given.seconds),
        "peak_mib": given.peak_mib,
        "gmac": facts["work"][given.name],
        "survivors": given.survivors,
        "labels_equal": float((given.labels == first.labels).mean()),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as Markdown, ratios first."""
    lines = [
        "| T | program | torch / this | s (min..max) | peak MiB | peak / weights | G multiply-adds "
        "| share of matrix product | survivors | labels equal to ours |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        slowest = row["programs"]["torch"].get("median_s", float("nan"))
        for name, seen in row["programs"].items():
            if "failure" in seen:
                lines.append(f"| {row['categories']} | {name} | {seen['failure']} | | | | | | | |")
                continue
            share = seen["gmac"] / seen["median_s"] / row["peak_gmac_per_s"]
            lines.append(
                f"| {row['categories']} | {name} | {slowest / seen['median_s']:.2f} | "
                f"{seen['median_s']:.2f} ({seen['min_s']:.2f}..{seen['max_s']:.2f}) | "
                f"{seen['peak_mib']:.0f} | {seen['peak_mib'] / row['weights_mib']:.2f} | "
                f"{seen['gmac']:.0f} | {100 * share:.0f} % | {seen['survivors']} | "
                f"{100 * seen['labels_equal']:.2f} % |"
            )
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]]) -> str:
    """Latency and peak memory against the number of categories, as SVG."""
    panels = [("median_s", "seconds a frame", 0), ("peak_mib", "peak memory, MiB", 360)]
    body = "".join(_panel(rows, key, title, left) for key, title, left in panels)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="720" height="300" '
        'font-family="sans-serif" font-size="12"><rect width="720" height="300" fill="#fff"/>'
        f"{body}</svg>\n"
    )


def _panel(rows: list[dict[str, Any]], key: str, title: str, left: int) -> str:
    lines = {
        name: [
            (r["categories"], r["programs"][name][key]) for r in rows if key in r["programs"][name]
        ]
        for name in ("ours", "torch")
    }
    highest = max(value for points in lines.values() for _, value in points)
    widest = max(row["categories"] for row in rows)
    parts = [f'<text x="{left + 50}" y="20">{title} against categories</text>']
    for (name, points), color in zip(lines.items(), ("#3b7dd8", "#c0392b"), strict=True):
        at = [(left + 50 + 250 * t / widest, 260 - 220 * v / highest) for t, v in points]
        path = " ".join(f"{x:.0f},{y:.0f}" for x, y in at)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="{color}"/>' for x, y in at]
        parts.append(f'<text x="{at[-1][0] + 6:.0f}" y="{at[-1][1]:.0f}">{name}</text>')
    parts += [f'<text x="{left + 4}" y="{44}">{highest:.4g}</text>']
    parts += [
        f'<text x="{left + 46 + 250 * row["categories"] / widest:.0f}" y="278" '
        f'text-anchor="middle">{row["categories"]}</text>'
        for row in rows
        if row["categories"] not in (20,)
    ]
    frame = f'<path d="M{left + 50} 30V260H{left + 310}" fill="none" stroke="#888"/>'
    return frame + "".join(parts)


if __name__ == "__main__":
    main()
