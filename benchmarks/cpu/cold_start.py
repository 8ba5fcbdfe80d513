"""Where a cold start goes: seconds, and seconds of CPU, from a new process to the first label.

    python -m benchmarks.cpu.cold_start BUNDLE --threads 2

Every repetition starts three processes in turn. One does the parts one after another. One does what
`Segmenter.open` does: weights are hashed while the graph is loaded. One does that after
`edge-ovss build --backend onnxruntime` has kept the optimized graph, in a cache of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SIZE = (480, 640)
_MARK = "cold-start: "

Row = dict[str, tuple[float, float]]


def main(words: list[str] | None = None) -> None:
    """Print one table: parts down, medians across."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--child", choices=tuple(_PROGRAMS), help=argparse.SUPPRESS)
    parser.add_argument("--start", type=float, default=0.0, help=argparse.SUPPRESS)
    args = parser.parse_args(words)
    if args.child:
        print(_MARK + json.dumps(_PROGRAMS[args.child](args)))
        return
    with tempfile.TemporaryDirectory() as args.cache:
        _run("optimize", args)
        found = [{name: _run(name, args) for name in _RACED} for _ in range(args.repeats)]
    _print(found, args)


def _run(child: str, args: argparse.Namespace) -> Row:
    command = [sys.executable, "-m", "benchmarks.cpu.cold_start", args.bundle, "--child", child]
    command += ["--threads", str(args.threads)]
    cache = args.cache if child in ("optimize", "kept") else ""
    command += ["--start", str(time.monotonic())]  # all processes of a machine share this clock
    env = {**os.environ, "EDGE_OVSS_CACHE": cache}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=env)
    line = next(line for line in done.stdout.splitlines() if line.startswith(_MARK))
    row: Row = json.loads(line.removeprefix(_MARK))
    return row


class _Clock:
    """Takes down how long each part took, from the start of the process on."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.row: Row = {}
        self._wall, self._cpu = args.start, 0.0

    def mark(self, name: str) -> None:
        wall, cpu = time.monotonic(), time.process_time()
        self.row[name] = (wall - self._wall, cpu - self._cpu)
        self._wall, self._cpu = time.monotonic(), time.process_time()


def _parts(args: argparse.Namespace) -> Row:
    clock = _Clock(args)
    import onnxruntime

    from edge_ovss.bundle.hashes.comparing import check_hashes
    from edge_ovss.runtime import Bundle
    from edge_ovss.runtime.backends.ort import open_session

    clock.mark("start and imports")
    bundle = Bundle.open(args.bundle, verify=False)
    clock.mark("read and check the bundle")
    check_hashes(bundle.manifest, {each: bundle.file(each) for each in bundle.manifest.files}, None)
    clock.mark("hashes")
    session = open_session(onnxruntime, bundle.graph_path, threads=args.threads)
    clock.mark("load the graph")
    inputs = bundle.manifest.contract.feed(_frame()[None], None, bundle.word_inputs())
    session.run(None, inputs)
    clock.mark("first frame")
    session.run(None, inputs)
    clock.mark("second frame")
    return clock.row


def _whole(args: argparse.Namespace) -> Row:
    return _first_label(args, "process to first label")


def _kept(args: argparse.Namespace) -> Row:
    return _first_label(args, "the same with the optimized graph kept")


def _first_label(args: argparse.Namespace, name: str) -> Row:
    from edge_ovss.runtime.segmenter import Segmenter

    clock = _Clock(args)
    with Segmenter.open(args.bundle, backend="onnxruntime", threads=args.threads) as segmenter:
        segmenter.segment(_frame())
        clock.mark(name)
    return clock.row


def _optimize(args: argparse.Namespace) -> Row:
    """Keep the optimized graph; its labels are compared on the way."""
    from edge_ovss.bundle.reader import Bundle
    from edge_ovss.engines.optimize import optimize_graphs

    optimize_graphs(Bundle.open(args.bundle))
    return {}


def _frame() -> Any:  # noqa: ANN401 (no numpy before the clock runs)
    import numpy as np

    return np.full((*_SIZE, 3), 127, np.uint8)


_PROGRAMS: dict[str, Callable[[argparse.Namespace], Row]] = {
    "parts": _parts,
    "whole": _whole,
    "optimize": _optimize,
    "kept": _kept,
}
_RACED = ("parts", "whole", "kept")


def _print(found: list[dict[str, Row]], args: argparse.Namespace) -> None:
    print(f"{Path(args.bundle).name}, {args.threads} threads, {args.repeats} processes each\n")
    print("| part | median s | min..max s | CPU s |\n|---|---|---|---|")
    for name in _RACED:
        for part in found[0][name]:
            walls, cpus = zip(*(each[name][part] for each in found), strict=True)
            middle = f"{statistics.median(walls):.3f} | {min(walls):.3f}..{max(walls):.3f}"
            print(f"| {part} | {middle} | {statistics.median(cpus):.3f} |")


if __name__ == "__main__":
    main()
