"""Where a cold start goes: seconds, and seconds of CPU, from a new process to the first label.

    python -m benchmarks.cpu.cold_start BUNDLE --threads 2

Every repetition starts three processes in turn. One does the parts one after another. One does what
`Segmenter.open` does: weights are hashed while the graph is loaded. One loads the graph as ONNX
Runtime had optimized it in an earlier process, which shows what keeping that would save.
"""

from __future__ import annotations

import argparse
import json
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
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--start", type=float, default=0.0, help=argparse.SUPPRESS)
    args = parser.parse_args(words)
    if args.child:
        print(_MARK + json.dumps(_PROGRAMS[args.child](args)))
        return
    with tempfile.TemporaryDirectory() as work:
        args.work = work
        _run("optimize", args)
        found = [{name: _run(name, args) for name in _RACED} for _ in range(args.repeats)]
    _print(found, args)


def _run(child: str, args: argparse.Namespace) -> Row:
    command = [sys.executable, "-m", "benchmarks.cpu.cold_start", args.bundle, "--child", child]
    command += ["--threads", str(args.threads), "--work", args.work]
    command += ["--start", str(time.monotonic())]  # all processes of a machine share this clock
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
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
    from edge_ovss.runtime.segmenter import Segmenter

    clock = _Clock(args)
    with Segmenter.open(args.bundle, backend="onnxruntime", threads=args.threads) as segmenter:
        segmenter.segment(_frame())
        clock.mark("process to first label")
    return clock.row


def _optimize(args: argparse.Namespace) -> Row:
    """Keep the graph as ONNX Runtime optimizes it for this machine, and the right labels."""
    import numpy as np

    runtime, options, bundle = _session_parts(args)
    options.optimized_model_filepath = str(Path(args.work) / "model.onnx")
    key = "session.optimized_model_external_initializers_file_name"
    options.add_session_config_entry(key, "model.onnx.data")
    session = runtime.InferenceSession(str(bundle.graph_path), options, providers=_CPU)
    np.save(Path(args.work) / "labels.npy", _labels(session, bundle))
    return {}


def _optimized(args: argparse.Namespace) -> Row:
    import numpy as np

    clock = _Clock(args)
    runtime, options, bundle = _session_parts(args)
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    path = str(Path(args.work) / "model.onnx")
    clock.mark("before")
    session = runtime.InferenceSession(path, options, providers=_CPU)
    clock.mark("load the optimized graph")
    labels = _labels(session, bundle)
    if not np.array_equal(labels, np.load(Path(args.work) / "labels.npy")):
        message = "the optimized graph gives other labels"
        raise SystemExit(message)
    del clock.row["before"]
    return clock.row


def _session_parts(args: argparse.Namespace) -> tuple[Any, Any, Any]:
    import onnxruntime

    from edge_ovss.runtime import Bundle
    from edge_ovss.runtime.backends.ort import session_options

    bundle = Bundle.open(args.bundle, verify=False)
    return onnxruntime, session_options(onnxruntime, args.threads), bundle


def _labels(session: Any, bundle: Any) -> Any:  # noqa: ANN401 (classes of onnxruntime and numpy)
    inputs = bundle.manifest.contract.feed(_frame()[None], None, bundle.word_inputs())
    return session.run(["labels"], inputs)[0]


def _frame() -> Any:  # noqa: ANN401 (no numpy before the clock runs)
    import numpy as np

    return np.full((*_SIZE, 3), 127, np.uint8)


_CPU = ["CPUExecutionProvider"]
_PROGRAMS: dict[str, Callable[[argparse.Namespace], Row]] = {
    "parts": _parts,
    "whole": _whole,
    "optimize": _optimize,
    "optimized": _optimized,
}
_RACED = ("parts", "whole", "optimized")


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
