"""Weights of a text tower in float16 or INT8; what is computed with them stays in float32.

The matrices of products and the table of tokens are nearly all of a text tower. They are stored
in few bits and become float32 again where they are read: of the table only the rows of the tokens
at hand. Biases, norms and positions are small, and stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_ovss.graph.model import add_constant, drop_unread_weights, make_node

if TYPE_CHECKING:
    import onnx_ir as ir

Floats = NDArray[np.float32]

_FLOAT = 1  # of ONNX's types
_MATRIX = 2
_HIGHEST = 127


def store_weights(model: ir.Model, weights: str) -> int:
    """Store the large weights of a text tower in few bits, in place.

    Args:
        model: The graph, in float32.
        weights: "fp16", or "int8": whole numbers with one scale for each output channel of a
            product, and for each token of the table.

    Returns:
        How many are stored so. One with numbers that float16 does not hold stays in float32.
    """
    count = 0
    for value in list(model.graph.initializers.values()):
        tensor = value.const_value
        if tensor is None or int(tensor.dtype) != _FLOAT or len(tensor.shape) != _MATRIX:
            continue
        kinds = {(use.node.op_type, use.idx) for use in value.uses()}
        restore = {frozenset({("MatMul", 1)}): _as_factor, frozenset({("Gather", 0)}): _as_table}
        found = restore.get(frozenset(kinds))
        array = np.asarray(tensor.numpy(), np.float32)
        if found is None or (weights == "fp16" and not np.isfinite(_half(array)).all()):
            continue
        found(model, value, array, weights)
        count += 1
    drop_unread_weights(model)
    model.graph.sort()
    return count


def whole_numbers(array: Floats, axis: int) -> tuple[NDArray[np.int8], Floats]:
    """Return int8 numbers, and one float32 scale for each place along an axis.

    A number times its scale is the weight, within half a scale.

    Args:
        array: [rows, columns].
        axis: 0 or 1.
    """
    highest = np.abs(array).max(axis=1 - axis, keepdims=True)
    scales = np.where(highest > 0, highest / _HIGHEST, 1).astype(np.float32)
    numbers = np.clip(np.rint(array / scales), -_HIGHEST, _HIGHEST).astype(np.int8)
    return numbers, scales.reshape(-1)


def _as_factor(model: ir.Model, value: ir.Value, array: Floats, weights: str) -> None:
    """Store the second factor of products, [inputs, outputs]."""
    name = str(value.name)
    if weights == "fp16":
        nodes = [_cast(add_constant(model, f"{name}.fp16", _half(array)), f"{name}.float")]
    else:
        # No DequantizeLinear: ONNX Runtime computes a product behind one with INT8 activations,
        # which costs as much again as rounding the weights.
        numbers, scales = whole_numbers(array, axis=1)
        nodes = [_cast(add_constant(model, f"{name}.int8", numbers), f"{name}.numbers")]
        scale = add_constant(model, f"{name}.scales", scales[None])
        nodes.append(_scale(nodes[0], scale, f"{name}.float"))
    model.graph.extend(nodes)
    _replace(value, nodes[-1].outputs[0])


def _as_table(model: ir.Model, value: ir.Value, array: Floats, weights: str) -> None:
    """Store a table, [rows, width]; its rows become float32 once they are picked."""
    name, scale = str(value.name), None
    if weights == "fp16":
        stored = add_constant(model, f"{name}.fp16", _half(array))
    else:
        numbers, scales = whole_numbers(array, axis=0)
        stored = add_constant(model, f"{name}.int8", numbers)
        scale = add_constant(model, f"{name}.scales", scales[:, None])
    for number, use in enumerate(list(value.uses())):
        gather, place = use.node, f"{name}.{number}"
        picked = _pick(stored, gather.inputs[1], f"{place}.picked")
        nodes = [picked, _cast(picked.outputs[0], f"{place}.rows")]
        if scale is not None:
            scales_of = _pick(scale, gather.inputs[1], f"{place}.scales")
            nodes += [scales_of, _scale(nodes[-1], scales_of.outputs[0], f"{place}.float")]
        model.graph.extend(nodes)
        _replace(gather.outputs[0], nodes[-1].outputs[0])
        model.graph.remove(gather, safe=True)


def _half(array: Floats) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        return array.astype(np.float16)


def _cast(value: ir.Value, name: str) -> ir.Node:
    return make_node("Cast", [value], name, dtype=_FLOAT, shape=value.shape, name=name, to=_FLOAT)


def _scale(node: ir.Node, by: ir.Value, name: str) -> ir.Node:
    value = node.outputs[0]
    return make_node("Mul", [value, by], name, dtype=_FLOAT, shape=value.shape, name=name)


def _pick(table: ir.Value, indices: ir.Value | None, name: str) -> ir.Node:
    """Return a node that picks rows of a table."""
    assert indices is not None
    assert table.dtype is not None
    return make_node("Gather", [table, indices], name, dtype=int(table.dtype), name=name)


def _replace(value: ir.Value, by: ir.Value) -> None:
    import onnx_ir as ir

    ir.convenience.replace_all_uses_with(value, by)
