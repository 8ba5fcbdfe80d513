"""Contestants as functions from any frame to labels, so that time and accuracy are of one program.

No torch is imported for those that do without it: memory is the runtime's alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.roster import Entry, find
from benchmarks.shared.race import Labels, Run
from edge_ovss._optional import require
from edge_ovss.errors import MissingDependencyError

Frame = NDArray[np.uint8]
Segment = Callable[[Frame], tuple[Labels, list[int]]]


def ready(name: str, folder: Path, threads: int) -> Run:
    """Get a contestant ready for the frame of the race."""
    segment = open_program(name, folder, threads)
    frame: Frame = np.load(folder / "frame.npy")
    return lambda: segment(frame)


def open_program(name: str, folder: Path, threads: int) -> Segment:
    """Get a contestant ready for frames, uint8 [H, W, 3] RGB.

    Raises:
        EdgeOvssError: A package is missing or the program refuses.
    """
    die_first()
    entry = find(name)
    kind, _, backend = entry.runs.partition(":")
    if kind == "bundle":
        return _bundle(folder / f"{entry.what}.ovss", backend, threads)
    if kind == "torch":
        from benchmarks.peers.torch_programs import torch_program

        return torch_program(entry, folder, threads)
    infer = (_onnxruntime if kind == "onnxruntime" else _openvino)(entry, folder, threads)
    return _around(infer, folder)


def die_first() -> None:
    """Make the system end this process first, not others', if memory runs out."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def graph_path(folder: Path, step: str) -> Path:
    """Return where a step leaves its graph: OpenVINO's format for NNCF, ONNX for all others."""
    return folder / (f"{step}.xml" if step.startswith("nncf") else f"{step}.onnx")


def note_path(folder: Path, step: str) -> Path:
    """Return where a step leaves what the table must say about its graph, if anything."""
    return folder / f"{step}.note"


def _bundle(path: Path, backend: str, threads: int) -> Segment:
    from edge_ovss.runtime import Segmenter

    segmenter = Segmenter.open(path, backend=backend, threads=threads)

    def segment(frame: Frame) -> tuple[Labels, list[int]]:
        result = segmenter.segment(frame)
        return result.labels, [int(count) for count in result.counts]

    return segment


def _around(infer: Callable[[NDArray[np.float32]], NDArray[Any]], folder: Path) -> Segment:
    from benchmarks.shared.plain import image_of, labels_of

    facts = json.loads((folder / "setting.json").read_text())

    def segment(frame: Frame) -> tuple[Labels, list[int]]:
        logits = infer(image_of(frame, facts))[0]
        return labels_of(logits, *frame.shape[:2]), [len(logits)]

    return segment


def _onnxruntime(
    entry: Entry, folder: Path, threads: int
) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    library = require("onnxruntime", extra="onnxruntime")
    options = library.SessionOptions()
    options.intra_op_num_threads = threads
    path = str(graph_path(folder, entry.what))
    session = library.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image})[0]


def _openvino(
    entry: Entry, folder: Path, threads: int
) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    library = require("openvino", extra="openvino")
    core = library.Core()
    half = entry.precision == "BF16"
    if half and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        message = "This processor has no BF16 in OpenVINO."
        raise MissingDependencyError(message)
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = core.compile_model(str(graph_path(folder, entry.what)), "CPU", options)
    output = compiled.output(0)
    return lambda image: np.asarray(compiled([image])[output])
