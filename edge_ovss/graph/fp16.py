"""FP32 graph → FP16 graph: half weights and activations, FP32 islands, no mixed types anywhere.

TensorRT promotes nothing and TensorRT 11 has no weak typing, so every node gets inputs of one
float type; where two meet, a Cast stands. The outputs of the graph are islands and keep their type.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.errors import ArtifactError
from edge_ovss.graph.fp32_islands import FOLLOW, Islands, find_islands
from edge_ovss.graph.model import add_constant, drop_unread_weights, make_node
from edge_ovss.graph.walk import (
    FLOAT,
    HALF,
    QDQ,
    WEIGHTED,
    activations,
    array,
    float_outputs,
    is_float,
    is_weight,
    readers,
)

if TYPE_CHECKING:
    import onnx_ir as ir

# States of a float tensor: in FP16, in FP32 that may become FP16 again, in FP32 that stays.
_HALF, _OPEN, _STICKY = "half", "open", "sticky"

# Inputs that have a type of their own, by operator: these positions stay as they are.
_OWN_TYPE = {"Resize": (1, 2)}

_LEAST_SCALE = np.float16(2.0**-24)


@dataclass(frozen=True)
class HalfReport:
    """The result of a conversion to FP16.

    Attributes:
        islands: Why nodes stayed in FP32, by node name.
        half_nodes: Names of the nodes that compute in FP16.
        casts: How many Casts were added.
    """

    islands: Islands
    half_nodes: tuple[str, ...]
    casts: int


@dataclass
class _Conversion:
    """A graph on its way to FP16.

    Attributes:
        model: The graph.
        islands: Why nodes stay in FP32, by node name.
        names: Names of tensors that are taken.
        states: One of the three states by tensor that a node was found to make.
        converted: Copies of tensors in the other type.
        casts: How many Casts were added.
    """

    model: ir.Model
    islands: Islands
    names: set[str]
    states: dict[ir.Value, str] = field(default_factory=dict)
    converted: dict[tuple[ir.Value, int], ir.Value] = field(default_factory=dict)
    casts: int = 0


def convert_to_half(
    model: ir.Model,
    ranges: Mapping[str, float] | None = None,
    kept: Collection[str] = (),
    exact: Collection[str] = (),
) -> HalfReport:
    """Convert a graph in place.

    Args:
        model: A float32 graph, with or without Q/DQ.
        ranges: Largest magnitude by tensor name on real images; tensors near overflow stay FP32.
        kept: Names of further nodes that stay in FP32.
        exact: Names of modules that stay in FP32.

    Raises:
        ArtifactError: A weight is not finite, or too large for FP16.
    """
    import onnx_ir as ir

    graph = model.graph
    tensors = (value for node in graph for value in (*node.inputs, *node.outputs) if value)
    islands = find_islands(model, ranges, kept, exact)
    work = _Conversion(model, islands, {str(value.name) for value in tensors})
    half_nodes = tuple(str(node.name) for node in list(graph) if _convert_node(work, node))
    for value, state in work.states.items():
        if state == _HALF:
            value.type = ir.TensorType(ir.DataType(HALF))  # a clone shares the old type object
    drop_unread_weights(model)
    return HalfReport(work.islands, half_nodes, work.casts)


def _convert_node(work: _Conversion, node: ir.Node) -> bool:
    """Give a node inputs of its type, with the Casts that it needs; return whether it is half."""
    half = _is_half(work, node)
    kept = _OWN_TYPE.get(node.op_type, ())
    for position, value in enumerate(node.inputs):
        if position not in kept and is_float(value):
            wanted = _as_type(work, value, HALF if half else FLOAT, node)
            node.replace_input_with(position, wanted)
    island = work.islands.get(str(node.name))
    state = _HALF if half else (_OPEN if island and not island.sticky else _STICKY)
    work.states.update(dict.fromkeys(float_outputs(node), state))
    return half


def _is_half(work: _Conversion, node: ir.Node) -> bool:
    if node.name in work.islands:
        return False
    if node.op_type in WEIGHTED:
        return True
    if node.op_type == "DequantizeLinear":
        # It has the type of the product that reads it.
        after = readers(node.outputs[0])
        return any(each.op_type in WEIGHTED and each.name not in work.islands for each in after)
    if node.op_type == "QuantizeLinear":
        # After a norm in FP32 it reads FP32: a rounding less, and no Cast.
        return work.states.get(node.inputs[0]) == _HALF
    states = {work.states.get(value, _STICKY) for value in activations(node)}
    return node.op_type in FOLLOW and bool(states & {_HALF, _OPEN})


def _as_type(work: _Conversion, value: ir.Value, wanted: int, reader: ir.Node) -> ir.Value:
    """Return a tensor in the wanted type; a copy is made once, before its first reader."""
    is_half = work.states.get(value) == _HALF
    if is_half == (wanted == HALF):
        return value
    if (value, wanted) not in work.converted:
        name = _unique(work, f"{value.name}_{'half' if wanted == HALF else 'float'}")
        if is_weight(value):
            copy = add_constant(work.model, name, _half_weight(value))
        else:
            cast = make_node(
                "Cast",
                [value],
                name,
                dtype=wanted,
                shape=value.shape,
                name=f"precision/{name}",
                to=wanted,
            )
            work.model.graph.insert_before(reader, cast)
            work.casts += 1
            copy = cast.outputs[0]
        work.converted[value, wanted] = copy
    return work.converted[value, wanted]


def _unique(work: _Conversion, name: str) -> str:
    fresh, number = name, 0
    while fresh in work.names:
        number += 1
        fresh = f"{name}_{number}"
    work.names.add(fresh)
    return fresh


def _half_weight(weight: ir.Value) -> NDArray[Any]:
    values = array(weight)
    if not np.isfinite(values).all():
        message = f"Weight '{weight.name}' holds values that are not finite."
        raise ArtifactError(message, hint="The checkpoint is damaged; export it again.")
    half = np.ascontiguousarray(values.astype(np.float16))
    if QDQ & {reader.op_type for reader in readers(weight)}:
        half = np.maximum(half, _LEAST_SCALE)  # a scale of 0 would divide by 0
    if not np.isfinite(half).all():
        largest = np.abs(values).max()
        message = f"Weight '{weight.name}' has values up to {largest:g}, too large for FP16."
        raise ArtifactError(message, hint="Keep this bundle in FP32.")
    return half
