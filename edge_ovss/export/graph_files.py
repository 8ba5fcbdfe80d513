"""Trace a graph, write it, and write a copy with scores that is only compared with torch.

Undecided labels say little, so a graph is compared by its scores as well. It is traced with them
whichever outputs were asked for, and they are dropped from the graph that is kept.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_ovss._optional import require
from edge_ovss._version import VERSION
from edge_ovss.bundle.contract import PLACES, TEXT, THRESHOLDS
from edge_ovss.bundle.words.section import WORDS, OpenInfo
from edge_ovss.bundle.writer import BundleWriter
from edge_ovss.export.family import OpenText
from edge_ovss.graph.export_passes import apply_export_passes
from edge_ovss.graph.model import drop_unread_weights, feed
from edge_ovss.graph.tensor_probe import open_session

# The newest opset that TensorRT 10.3 parses; it has Gelu as one operator.
OPSET = 20

SCORES = "scores"

Answers = list[dict[str, NDArray[Any]]]
Save = Callable[[Any, Path], None]

_COPY = "scored.onnx"


def with_scores(outputs: tuple[str, ...]) -> tuple[str, ...]:
    """Return the outputs with which a graph is traced: those asked for, and the scores."""
    return outputs if SCORES in outputs else (*outputs, SCORES)


def trace(
    graph: nn.Module,
    frame: Tensor,
    thresholds: Tensor | None = None,
    words: OpenText | None = None,
    *,
    outputs: tuple[str, ...],
    metadata: dict[str, str],
) -> Any:  # noqa: ANN401
    """Trace a graph.

    Args:
        graph: Module from all inputs to the outputs, in eval mode.
        frame: uint8 [1, H, W, 3], an example; H and W become dynamic.
        thresholds: float32 [K], an example; None for a graph without them.
        words: Words of an open graph, an example; None where they are frozen.
        outputs: Names of what the module returns, in order.
        metadata: Key-value pairs for the model's metadata.

    Returns:
        An `onnx_ir.Model` with `frame` and perhaps `thresholds` as inputs, and weights in memory.

    Raises:
        MissingDependencyError: onnx or onnxscript is not installed.
    """
    sides = {1: torch.export.Dim("H", min=1), 2: torch.export.Dim("W", min=1)}
    inputs = {"frame": frame} | ({} if thresholds is None else {THRESHOLDS: thresholds})
    free: dict[str, Mapping[int, Any]] = {"frame": sides}
    if words is not None:
        inputs |= {name: torch.from_numpy(a) for name, a in words.inputs(full=True).items()}
        free |= _free_rows(words.info)
    model = trace_module(graph, inputs, outputs=outputs, free=free)
    if words is not None:
        drop_unread_weights(model)  # the words of the vocabulary, which are an input now
    model.graph.name = "edge_ovss"
    model.metadata_props.update(metadata)
    return model


def _free_rows(info: OpenInfo) -> dict[str, Mapping[int, Any]]:
    """Return the free side of the words, if an open graph has one."""
    if info.is_fixed:
        return {}
    rows = {0: torch.export.Dim(WORDS, min=info.least, max=info.places)}
    return {TEXT: rows, PLACES: rows}


def trace_module(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    *,
    outputs: Sequence[str],
    free: Mapping[str, Mapping[int, Any]],
) -> Any:  # noqa: ANN401
    """Trace any module, and clean up what the exporter leaves.

    Args:
        module: In eval mode.
        inputs: An example of every input, by name and in order.
        outputs: Names of what the module returns, in order.
        free: By name of an input, the `torch.export.Dim` of every axis whose size is free.

    Returns:
        An `onnx_ir.Model` with weights in memory and no metadata.

    Raises:
        MissingDependencyError: onnx or onnxscript is not installed.
    """
    require("onnxscript", extra="export")
    with torch.no_grad(), _quiet_exporter():
        program = torch.onnx.export(
            module,
            tuple(inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes={name: free.get(name) for name in inputs},
            verbose=False,
        )
    if program is None:
        message = "torch.onnx.export returned nothing"
        raise RuntimeError(message)
    model = program.model
    apply_export_passes(model)
    model.producer_name, model.producer_version = "edge-ovss", VERSION
    model.metadata_props.clear()
    return model


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    # The exporter reports its internals as warnings, log lines and prints. A user can do nothing
    # about them, and its result is compared with torch afterwards.
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


class GraphPair:
    """A graph to keep, and a copy of it with scores until it has been compared.

    Args:
        writer: Writer of the bundle.
        model: An `onnx_ir.Model` traced `with_scores`; changed in place.
        name: ONNX file to keep.
        outputs: The outputs to keep.
        save: Writes a model to a path, with its large tensors where they belong.
        words: Words of an open graph, with which it runs; None where they are frozen.
    """

    def __init__(
        self,
        writer: BundleWriter,
        model: Any,  # noqa: ANN401 (onnx_ir is optional)
        name: str,
        *,
        outputs: tuple[str, ...],
        save: Save,
        words: OpenText | None = None,
    ) -> None:
        self.path = writer.path(name)
        self.words = words
        self._copy: Path | None = None
        if SCORES not in outputs:
            self._copy = writer.path(_COPY)
            save(model, self._copy)
            drop_output(model, SCORES)
        save(model, self.path)

    def run(self, frames: Sequence[NDArray[np.uint8]]) -> Answers:
        """Run the graph, and its copy for the scores; outputs by name for every frame."""
        found = run_graph(self.path, frames, words=self.words)
        if self._copy is not None:
            scored = run_graph(self._copy, frames, words=self.words)
            found = [{**a, SCORES: b[SCORES]} for a, b in zip(found, scored, strict=True)]
        return found

    def run_kept(
        self, frame: NDArray[np.uint8], thresholds: NDArray[np.float32]
    ) -> dict[str, NDArray[Any]]:
        """Run the graph alone on a frame, with thresholds; outputs by name."""
        return run_graph(self.path, [frame], thresholds, self.words)[0]

    def forget(self) -> None:
        """Remove the copy."""
        if self._copy is not None:
            self._copy.unlink()
            data_file(self._copy).unlink(missing_ok=True)
            self._copy = None


def run_graph(
    path: Path,
    frames: Sequence[NDArray[np.uint8]],
    thresholds: NDArray[np.float32] | None = None,
    words: OpenText | None = None,
) -> Answers:
    """Run an ONNX file on frames with ONNX Runtime on the CPU.

    Returns:
        Outputs by name; of an open graph's scores those of the words.
    """
    session = open_session(path)
    names = [output.name for output in session.get_outputs()]
    given = None if words is None else words.inputs()
    answers = [session.run(names, feed(session, frame, thresholds, given)) for frame in frames]
    found = [dict(zip(names, answer, strict=True)) for answer in answers]
    return found if words is None else [cut_scores(each, len(words.text)) for each in found]


def cut_scores(answer: dict[str, NDArray[Any]], words: int) -> dict[str, NDArray[Any]]:
    """Return outputs by name with the scores of the first words only: [1, T, h, w]."""
    if SCORES not in answer:
        return answer
    return {**answer, SCORES: answer[SCORES][:, :words]}


def data_file(path: Path) -> Path:
    """Return the path of the large tensors of an ONNX file."""
    return path.with_name(f"{path.name}.data")


def drop_output(model: Any, name: str) -> None:  # noqa: ANN401
    """Drop an output of an `onnx_ir.Model`, and the nodes and constants that only it needs."""
    graph = model.graph
    graph.outputs[:] = [value for value in graph.outputs if value.name != name]
    kept = {id(value) for value in graph.outputs}
    for node in reversed(list(graph)):
        if not any(value.uses() or id(value) in kept for value in node.outputs):
            graph.remove(node, safe=True)
    for constant, value in list(graph.initializers.items()):
        if not value.uses() and id(value) not in kept:
            del graph.initializers[constant]
