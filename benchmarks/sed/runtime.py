"""SED at run time: bundles and graphs. No torch is imported: memory is the runtime's alone."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.shared.race import Run
from edge_ovss.runtime.result import Result

ALWAYS = ("labels", "alive", "counts")


def add_arguments(parser: argparse.ArgumentParser, *, out: str) -> None:
    """Declare what every race of one vocabulary takes; `out` is the default folder."""
    parser.add_argument("--model", default="sed-base")
    parser.add_argument("--vocab", default="ade150")
    parser.add_argument("--survivors", type=int, default=27)
    parser.add_argument("--slots", default="32,32,32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", default=out)
    parser.add_argument("--prepare-only", action="store_true", help="write the graphs, race later")


def counts(result: Result) -> list[int]:
    """How many categories wanted to stay at each rejection."""
    return [int(count) for count in result.counts]


def bundle(
    folder: Path,
    threads: int,
    name: str,
    backend: str = "onnxruntime",
    survivors: Callable[[Result], list[int]] = counts,
    opened: list[Any] | None = None,
) -> Run:
    """The bundle `name` of a benchmark.

    Args:
        folder: Of the benchmark.
        threads: CPU threads.
        name: Of the bundle.
        backend: What runs it.
        survivors: What to say of the categories that stay.
        opened: Gets the segmenter, where somebody wants to ask it.
    """
    from edge_ovss.runtime import Segmenter

    segmenter = Segmenter.open(folder / f"{name}.ovss", backend=backend, threads=threads)
    if opened is not None:
        opened.append(segmenter)
    frame = np.load(folder / "frame.npy")

    def run() -> tuple[NDArray[Any], list[int]]:
        result = segmenter.segment(frame)
        return result.labels, survivors(result)

    return run


def ours_slots(folder: Path, threads: int) -> Run:
    """Our bundle, rejection `slots`."""
    return bundle(folder, threads, "slots")


def ours_dynamic(folder: Path, threads: int) -> Run:
    """Our bundle, rejection `dynamic`."""
    return bundle(folder, threads, "dynamic")


def ours_none(folder: Path, threads: int) -> Run:
    """Our bundle without rejection."""
    return bundle(folder, threads, "none")


def ours_openvino(folder: Path, threads: int) -> Run:
    """Our bundle, rejection `slots`, in OpenVINO with FP32."""
    return bundle(folder, threads, "slots", "openvino")


def graph(name: str, folder: Path, threads: int) -> Run:
    """The graph `name` without a bundle around it, with the options of our backend."""
    import onnxruntime

    from edge_ovss.runtime.backends.ort import open_session

    session = open_session(onnxruntime, graph_path(folder, name), threads=threads)
    frame = np.load(folder / "frame.npy")[None]

    def run() -> tuple[NDArray[Any], list[int]]:
        labels, _, counts = session.run(list(ALWAYS), {"frame": frame})
        return labels[0], counts.tolist()

    return run


def graph_path(folder: Path, name: str) -> Path:
    """Where the graph `name` of a benchmark is."""
    return folder / name.replace(" ", "-") / "model.onnx"
