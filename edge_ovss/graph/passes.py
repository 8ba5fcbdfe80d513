"""Passes over the exported graph. Each is one function from a model to how much it changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

# Biases and scalars stay apart: they are small, and a quantiser may give each its own scale.
_MATRIX = 2
# Place of the sizes among a Resize's inputs.
_SIZES = 3
_SCOPES = "pkg.torch.onnx.name_scopes"


def apply_passes(model: Any) -> dict[str, int]:  # noqa: ANN401
    """Run every pass in order, in place.

    Args:
        model: An `onnx_ir.Model`.

    Returns:
        For every pass, how many nodes it changed.
    """
    passes: tuple[Callable[[Any], int], ...] = (
        turn_weights_once,
        store_equal_weights_once,
        resize_in_turn,
        name_nodes_by_module,
        drop_tracing_notes,
    )
    return {step.__name__: step(model) for step in passes}


def turn_weights_once(model: Any) -> int:  # noqa: ANN401
    """Store a weight that several linear layers read the way they read it.

    The exporter turns a weight that is read once, but leaves a Transpose before every reader of
    one that is read by several pieces: a runtime would then hold a turned copy for each.
    """
    import onnx_ir

    turned: dict[tuple[str, tuple[int, ...]], Any] = {}
    nodes = [node for node in model.graph if node.op_type == "Transpose"]
    nodes = [node for node in nodes if node.inputs[0] and node.inputs[0].const_value is not None]
    for node in nodes:
        source = node.inputs[0]
        order = tuple(node.attributes["perm"].as_ints())
        if (source.name, order) not in turned:
            array = source.const_value.numpy().transpose(order).copy()
            tensor = onnx_ir.tensor(array, name=f"{source.name}.turned")
            value = onnx_ir.Value(
                name=tensor.name,
                shape=onnx_ir.Shape(array.shape),
                type=source.type,
                const_value=tensor,
            )
            model.graph.initializers[tensor.name] = value
            turned[source.name, order] = value
        onnx_ir.convenience.replace_all_uses_with(node.outputs[0], turned[source.name, order])
        model.graph.remove(node, safe=True)
        if not source.uses() and source.name in model.graph.initializers:
            del model.graph.initializers[source.name]
    return len(nodes)


def store_equal_weights_once(model: Any) -> int:  # noqa: ANN401
    """Let readers of equal matrices share one: the exporter turns small ones once per reader."""
    import onnx_ir

    first: dict[tuple[object, ...], Any] = {}
    dropped = 0
    for name, value in list(model.graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or len(tensor.shape) < _MATRIX or value.is_graph_output():
            continue
        digest = hashlib.sha256(tensor.tobytes()).digest()
        kept = first.setdefault((tensor.dtype, tuple(tensor.shape), digest), value)
        if kept is not value:
            onnx_ir.convenience.replace_all_uses_with(value, kept)
            del model.graph.initializers[name]
            dropped += 1
    return dropped


def resize_in_turn(model: Any) -> int:  # noqa: ANN401
    """Let no score be resized to the frame's size before those before it have been compared.

    A runtime may run a node as soon as its inputs are there, and ONNX Runtime walks back from the
    answer: it would resize the scores of all categories and only then compare them, 2.5 GB at 12
    megapixels. Here the size is asked of the labels so far, which have it, so that they must be
    there.
    """
    import onnx_ir

    two: Any = None
    labels: Any = None
    changed = 0
    for node in list(model.graph):
        output = node.outputs[0]
        if node.op_type == "Where" and _frame_sides(output):
            labels = output
        elif node.op_type == "Resize" and labels is not None and _same_sides(output, labels):
            two = two or _first_two(model)
            front = onnx_ir.node("Gather", [node.inputs[_SIZES], two])
            sides = onnx_ir.node("Shape", [labels], {"start": -2})
            sizes = onnx_ir.node("Concat", [front.outputs[0], sides.outputs[0]], {"axis": 0})
            for made, length in ((front, 2), (sides, 2), (sizes, 4)):
                made.outputs[0].shape = onnx_ir.Shape([length])
                made.outputs[0].type = onnx_ir.TensorType(onnx_ir.DataType.INT64)
            model.graph.insert_before(node, [front, sides, sizes])
            node.replace_input_with(_SIZES, sizes.outputs[0])
            changed += 1
    return changed


def _frame_sides(value: Any) -> tuple[object, ...]:  # noqa: ANN401 (onnx_ir.Value)
    """Return a tensor's last two sizes where both are known at run time only; else nothing."""
    sides = tuple(value.shape)[-2:] if value.shape is not None else ()
    return sides if len(sides) == 2 and not any(isinstance(side, int) for side in sides) else ()


def _same_sides(one: Any, other: Any) -> bool:  # noqa: ANN401 (onnx_ir.Value)
    return bool(_frame_sides(one)) and _frame_sides(one) == _frame_sides(other)


def _first_two(model: Any) -> Any:  # noqa: ANN401
    """Add the places of a Resize's first two sizes, an int64 constant, and return it."""
    import numpy as np
    import onnx_ir

    tensor = onnx_ir.tensor(np.array([0, 1]), name="resize_in_turn.first_two")
    value = onnx_ir.Value(
        name=tensor.name,
        shape=onnx_ir.Shape([2]),
        type=onnx_ir.TensorType(onnx_ir.DataType.INT64),
        const_value=tensor,
    )
    model.graph.initializers[tensor.name] = value
    return value


def name_nodes_by_module(model: Any) -> int:  # noqa: ANN401
    """Name every node after the torch module it came from.

    "decoder.layers.0.cnext.pwconv1/MatMul_3" says what a profile line, a quantisation table or a
    parser's error is about; "node_MatMul_1043" does not. The number keeps names unique. What the
    whole model does itself is named after its weight: "layers.0.own/Conv_331".
    """
    for position, node in enumerate(model.graph):
        scope = _scope(node.metadata_props.get(_SCOPES, "")) or _weight(node) or "graph"
        node.name = f"{scope}/{node.op_type}_{position}"
    return len(model.graph)


def _scope(written: str) -> str:
    # Written as a Python list of strings: the last is the operation, the one before its module.
    names = [name.strip(" '\"") for name in written.strip("[]").split(",")]
    return names[-2] if len(names) > 1 else ""


def _weight(node: Any) -> str:  # noqa: ANN401 (onnx_ir.Node)
    """Name of the matrix or the kernel that a node reads; empty if there is none."""
    read = [value for value in node.inputs if value is not None and value.const_value is not None]
    return next((str(each.name) for each in read if len(each.const_value.shape) >= _MATRIX), "")


def drop_tracing_notes(model: Any) -> int:  # noqa: ANN401
    """Drop the exporter's notes: they hold source lines and paths of the exporting machine."""
    dropped = 0
    for item in (*model.graph, *model.graph.initializers.values(), *_values(model)):
        dropped += bool(item.metadata_props)
        item.metadata_props.clear()
        item.doc_string = None
    return dropped


def _values(model: Any) -> list[Any]:  # noqa: ANN401
    produced = [output for node in model.graph for output in node.outputs]
    return [*model.graph.inputs, *produced]
