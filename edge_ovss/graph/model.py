"""An ONNX graph as an `onnx_ir.Model`: read, prepared for the passes, added to, written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.bundle.contract import Arrays, pad_thresholds
from edge_ovss.errors import ArtifactError

if TYPE_CHECKING:
    import onnx_ir as ir

# Tensors of as many bytes go to the data file; smaller ones are shapes and scales.
_EXTERNAL_BYTES = 1024


def feed(
    session: Any,  # noqa: ANN401 (a class of onnxruntime)
    frame: NDArray[np.uint8],
    thresholds: NDArray[np.float32] | None = None,
    words: Arrays | None = None,
) -> dict[str, NDArray[Any]]:
    """Return the inputs of a session by name.

    Args:
        session: Of a graph that takes a frame and perhaps, after it, thresholds and words.
        frame: uint8 [H, W, 3].
        thresholds: float32 [K]; None for zeros, which make no label unknown.
        words: `text` and `places` of an open graph.
    """
    first, *others = session.get_inputs()
    inputs: dict[str, NDArray[Any]] = {first.name: np.ascontiguousarray(frame)[None]}
    if words is not None:
        inputs |= words
    for each in others:
        if each.name not in inputs:
            given = np.zeros(0, np.float32) if thresholds is None else thresholds
            inputs[each.name] = pad_thresholds(given, int(each.shape[0]))
    return inputs


def load_graph(path: Path) -> ir.Model:
    """Read an ONNX file and prepare it; weights stay in their file until they are asked for.

    Raises:
        ArtifactError: It cannot be read, has branches or loops, or its types cannot be found.
        MissingDependencyError: onnx is not installed.
    """
    onnx, ir = require("onnx", extra="export"), require("onnx_ir", extra="export")
    try:
        onnx.checker.check_model(str(path))
        model = ir.load(path)
    except Exception as err:  # onnx and protobuf raise classes of their own
        message = f"'{path.name}' is not an ONNX model that can be read: {first_line(err)}"
        raise ArtifactError(message, hint="Export the bundle again.") from err
    return prepare(model)


def prepare(model: ir.Model) -> ir.Model:
    """Make constants initializers, put nodes behind what they read, and find all types, in place.

    Raises:
        ArtifactError: It has branches or loops, or a type cannot be found.
    """
    common = require("onnx_ir.passes.common", extra="export")
    _refuse_bodies(model)
    common.LiftConstantsToInitializersPass(size_limit=0)(model)
    model.graph.sort()
    common.ShapeInferencePass(check_type=False, strict_mode=False)(model)
    for value in (value for node in model.graph for value in node.outputs):
        if value.name and value.dtype is None:
            message = f"The type of tensor '{value.name}' in the graph cannot be found."
            raise ArtifactError(message, hint="Export the bundle again.")
    return model


def _refuse_bodies(model: ir.Model) -> None:
    import onnx_ir as ir

    bodies = {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS}
    for node in model.graph:
        if any(attribute.type in bodies for attribute in node.attributes.values()):
            message = f"Node '{node.name}' is a {node.op_type}, which has a graph of its own."
            raise ArtifactError(message, hint="edge-ovss export writes none; export it again.")


def save_graph(model: ir.Model, path: Path, *, data: str) -> None:
    """Write a graph; tensors of a kilobyte or more go to the file `data` beside it."""
    import onnx_ir as ir

    ir.save(model, path, external_data=data, size_threshold_bytes=_EXTERNAL_BYTES - 1)


def add_constant(model: ir.Model, name: str, values: NDArray[Any]) -> ir.Value:
    """Return a new initializer of a graph."""
    import onnx_ir as ir

    tensor = ir.tensor(values, name=name)
    value = ir.Value(
        name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    model.graph.initializers[name] = value
    return value


def make_node(
    operator: str,
    inputs: Sequence[ir.Value],
    output: str | None,
    *,
    dtype: int,
    shape: ir.Shape | None = None,
    name: str | None = None,
    **attributes: int,
) -> ir.Node:
    """Return a node with one output of a known type; it is in no graph yet.

    An output without a name gets one in the graph.
    """
    import onnx_ir as ir

    made = ir.Value(name=output, shape=shape, type=ir.TensorType(ir.DataType(dtype)))
    return ir.node(operator, inputs, attributes, outputs=[made], name=name)


def drop_unread_weights(model: ir.Model) -> None:
    """Drop the initializers that no node reads."""
    weights = model.graph.initializers
    for name, value in list(weights.items()):
        if not value.uses() and not value.is_graph_output():
            del weights[name]


def first_line(err: Exception) -> str:
    """Return the first line of an error's message."""
    lines = str(err).strip().splitlines() or [type(err).__name__]
    return lines[0][:300]
