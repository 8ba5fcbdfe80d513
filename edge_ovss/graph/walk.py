"""Walk an ONNX graph: what a tensor is, who reads it, and which nodes are before it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.contract import THRESHOLDS

if TYPE_CHECKING:
    import onnx_ir as ir

FLOAT, HALF, INT64 = 1, 10, 7
"""Numbers of the tensor types in onnx.proto3."""

WEIGHTED = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum"})
"""Operators that do the heavy work: convolutions and matrix products."""

QDQ = frozenset({"QuantizeLinear", "DequantizeLinear"})
"""The two operators that INT8 is written with."""

_RANKINGS = frozenset({"TopK", "ArgMax"})


def is_float(value: ir.Value | None) -> bool:
    """Whether a tensor is there and float32."""
    return value is not None and value.dtype == FLOAT


def is_weight(value: ir.Value | None) -> bool:
    """Whether a tensor is stored in the file."""
    return value is not None and value.const_value is not None


def is_constant(value: ir.Value | None) -> bool:
    """Whether a tensor is a weight, quantized or not."""
    if value is None or is_weight(value):
        return value is not None
    maker = value.producer()
    return maker is not None and maker.op_type in QDQ and is_constant(maker.inputs[0])


def array(weight: ir.Value) -> NDArray[Any]:
    """Return the values of a weight."""
    values: NDArray[Any] = np.asarray(weight.const_value.numpy())
    return values


def sides(value: ir.Value) -> tuple[int | None, ...] | None:
    """Return the shape of a tensor, None for a side that is free; None where it is unknown."""
    if value.shape is None:
        return None
    return tuple(side if isinstance(side, int) else None for side in value.shape)


def values_by_name(model: ir.Model) -> dict[str, ir.Value]:
    """Return the inputs of a graph and what its nodes make, in order."""
    made = [value for node in model.graph for value in node.outputs]
    return {value.name: value for value in (*model.graph.inputs, *made)}


def readers(value: ir.Value) -> list[ir.Node]:
    """Return the nodes that read a tensor, each once."""
    return list(dict.fromkeys(use.node for use in value.uses()))


def activations(node: ir.Node) -> list[ir.Value]:
    """Return the float32 inputs of a node that are not constant."""
    return [value for value in node.inputs if is_float(value) and not is_constant(value)]


def float_outputs(node: ir.Node) -> list[ir.Value]:
    """Return the float32 outputs of a node."""
    return [value for value in node.outputs if is_float(value)]


def has_weight(node: ir.Node) -> bool:
    """Whether a node multiplies with constants: a convolution or a matrix product."""
    return node.op_type in WEIGHTED and any(map(is_constant, node.inputs[:2]))


def upstream(
    starts: Iterable[ir.Value | None], stop: Callable[[ir.Node], bool]
) -> Iterator[ir.Node]:
    """Yield the nodes before tensors, each once.

    Args:
        starts: Tensors.
        stop: Whether the walk ends at a node; the node itself is yielded.
    """
    seen: set[ir.Node] = set()
    waiting = list(starts)
    while waiting:
        value = waiting.pop()
        node = value.producer() if value is not None else None
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        if not stop(node):
            waiting.extend(node.inputs)


def stems(model: ir.Model) -> list[ir.Node]:
    """Return the products that read the image: no product with a weight is before them."""
    return [
        node
        for node in model.graph
        if has_weight(node) and not any(map(has_weight, upstream(activations(node), has_weight)))
    ]


def measured_value(model: ir.Model) -> ir.Value | None:
    """Return the tensor that is compared with the thresholds; None for a graph without any."""
    heads = [each for each in model.graph.inputs if each.name == THRESHOLDS]
    while heads:
        head = heads.pop()
        for node in readers(head):
            if node.op_type == "Less":
                other: ir.Value = node.inputs[0]
                return other
            heads += node.outputs
    return None


def answer_nodes(model: ir.Model) -> list[ir.Node]:
    """Return the nodes from the last products to the outputs and to every ranking.

    The products themselves, the score heads, are among them.
    """
    starts = [*model.graph.outputs]
    starts += [node.inputs[0] for node in model.graph if node.op_type in _RANKINGS]
    return list(upstream(starts, has_weight))


def module_of(node: ir.Node) -> str:
    """Return the torch module that a node comes from: "layers.0.cnext.pwconv1"."""
    return str(node.name).rpartition("/")[0]


def is_within(node: ir.Node, modules: Collection[str]) -> bool:
    """Whether a node comes from one of these modules or from a part of one."""
    own = f"{module_of(node)}."
    return any(own.startswith(f"{module}.") for module in modules)
