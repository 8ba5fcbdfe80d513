"""What each exact rewrite of SED gains: the same graph with one of them left out, raced.

    python -m benchmarks.sed.rewrites --vocab ade150 --survivors 27 --out out/rewrites

Every contestant is a graph in ONNX Runtime with the options of our backend, in a process of its
own; they take turns. Prints ratios against the graph with all rewrites; writes `rewrites.json`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sed.runtime import add_arguments, graph, graph_path
from benchmarks.shared.race import Contestant, race
from edge_ovss.synthetic import render_street

LEFT_OUT: dict[str, dict[str, Any]] = {
    "all rewrites": {},
    "without late_cost": {"late_cost": False},
    "without late_guidance": {"late_guidance": False},
    "without split_skip": {"split_skip": False},
    "without joint_heads": {"joint_heads": False},
    "without pieces": {"piece_bytes": None},
    "without any of these": {
        "late_cost": False,
        "late_guidance": False,
        "split_skip": False,
        "joint_heads": False,
        "piece_bytes": None,
    },
}


def main() -> None:
    """Write the graphs, race them, report."""
    args = _arguments()
    folder = Path(args.out).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in LEFT_OUT if not graph_path(folder, name).is_file()]
    if missing:
        _write_graphs(folder, args, missing)
    if args.prepare_only:
        return
    contestants = [Contestant(name, partial(graph, name)) for name in LEFT_OUT]
    race(contestants, folder, repeats=args.repeats, threads=args.threads)
    rows = [_row(contestant, contestants[0]) for contestant in contestants]
    (folder / "rewrites.json").write_text(json.dumps(rows, indent=2))
    print("| | times `all` | median s | min..max s | peak MiB | labels equal |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row.values()) + " |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser, out="out/rewrites")
    return parser.parse_args()


def _write_graphs(folder: Path, args: argparse.Namespace, names: list[str]) -> None:
    from benchmarks.sed.graphs import Maker

    np.save(folder / "frame.npy", render_street(seed=7, height=480, width=640).image)
    slots = tuple(int(slot) for slot in args.slots.split(","))
    maker = Maker(args.model, args.vocab, survivors=args.survivors, slots=slots)
    for name in names:
        print(f"writing '{name}'", flush=True)
        maker.write(graph_path(folder, name), **LEFT_OUT[name])


def _row(contestant: Contestant, first: Contestant) -> dict[str, str]:
    if contestant.failure is not None or contestant.labels is None or first.labels is None:
        return {"name": contestant.name, "failure": str(contestant.failure)}
    median = statistics.median(contestant.seconds)
    return {
        "name": contestant.name,
        "ratio": f"{median / statistics.median(first.seconds):.2f}",
        "median": f"{median:.3f}",
        "range": f"{min(contestant.seconds):.3f}..{max(contestant.seconds):.3f}",
        "peak": f"{contestant.peak_mib:.0f}",
        "labels": f"{100 * float((contestant.labels == first.labels).mean()):.2f} %",
    }


if __name__ == "__main__":
    main()
