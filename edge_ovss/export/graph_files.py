"""Write a traced graph, and for the comparison with torch a copy of it that answers with scores.

Labels alone say little where they are undecided, so a graph is compared by its scores as well,
whatever outputs were asked for: it is traced with them, and they are dropped from what is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.writer import BundleWriter

SCORES = "scores"

Answers = list[dict[str, NDArray[Any]]]
Save = Callable[[Any, Path], None]
Run = Callable[[Path, Sequence[NDArray[np.uint8]]], Answers]

_COPY = "scored.onnx"


def with_scores(outputs: tuple[str, ...]) -> tuple[str, ...]:
    """Return the outputs with which a graph is traced: those asked for, and the scores."""
    return outputs if SCORES in outputs else (*outputs, SCORES)


class GraphPair:
    """A graph that is kept, and its copy with scores until it was compared.

    Args:
        writer: Of the bundle.
        model: An `onnx_ir.Model` traced `with_scores`; changed in place.
        name: ONNX file to keep.
        outputs: The outputs to keep.
        save: Writes a model to a path, with its large tensors where they belong.
    """

    def __init__(
        self,
        writer: BundleWriter,
        model: Any,  # noqa: ANN401 (onnx_ir is optional)
        name: str,
        *,
        outputs: tuple[str, ...],
        save: Save,
    ) -> None:
        self.path = writer.path(name)
        self._copy: Path | None = None
        if SCORES not in outputs:
            self._copy = writer.path(_COPY)
            save(model, self._copy)
            drop_output(model, SCORES)
        save(model, self.path)

    def answers(self, run: Run, frames: Sequence[NDArray[np.uint8]]) -> Answers:
        """Run the graph, and its copy for the scores; outputs by name for every frame."""
        found = run(self.path, frames)
        if self._copy is not None:
            scored = run(self._copy, frames)
            found = [{**a, SCORES: b[SCORES]} for a, b in zip(found, scored, strict=True)]
        return found

    def forget(self) -> None:
        """Remove the copy."""
        if self._copy is not None:
            self._copy.unlink()
            data_file(self._copy).unlink(missing_ok=True)
            self._copy = None


def data_file(path: Path) -> Path:
    """Return the file with the large tensors of an ONNX file."""
    return path.with_name(f"{path.name}.data")


def drop_output(model: Any, name: str) -> None:  # noqa: ANN401
    """Drop an output of an `onnx_ir.Model`, with the nodes and constants only it needs."""
    graph = model.graph
    graph.outputs[:] = [value for value in graph.outputs if value.name != name]
    kept = {id(value) for value in graph.outputs}
    for node in reversed(list(graph)):
        if not any(value.uses() or id(value) in kept for value in node.outputs):
            graph.remove(node, safe=True)
    for constant, value in list(graph.initializers.items()):
        if not value.uses() and id(value) not in kept:
            del graph.initializers[constant]
