"""FP32 graph → FP16 graph: half weights and activations, FP32 islands, no mixed types anywhere.

TensorRT promotes nothing and TensorRT 11 has no weak typing, so every node gets inputs of one
float type; where two meet, a Cast stands. Inputs and outputs of the graph keep their types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge_ovss.errors import ArtifactError
from edge_ovss.graph.fp32_islands import FOLLOW, Islands, find_islands
from edge_ovss.graph.view import FLOAT, HALF, WEIGHTED, GraphView, Node

# States of a float tensor: in FP16, in FP32 that may become FP16 again, in FP32 that stays.
_HALF, _OPEN, _STICKY = "half", "open", "sticky"

# Inputs that have a type of their own, by operator: position → stays FP32.
_OWN_TYPE = {"Resize": (1, 2)}


@dataclass
class _State:
    view: GraphView
    islands: Islands
    tensors: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    made: dict[tuple[str, int], str] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    added: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HalfReport:
    """What became of a graph.

    Attributes:
        islands: Why nodes stayed in FP32, by node name.
        half_nodes: Names of the nodes that compute in FP16.
        casts: How many Casts were added.
    """

    islands: Islands
    half_nodes: tuple[str, ...]
    casts: int


def convert_to_half(view: GraphView, ranges: Mapping[str, float] | None = None) -> HalfReport:
    """Convert a graph in place.

    Args:
        view: A float32 graph, with or without Q/DQ.
        ranges: Largest magnitude by tensor name on real pictures; tensors near overflow stay FP32.

    Raises:
        ArtifactError: A weight is not finite, or a quantisation scale vanishes in FP16.
    """
    state = _State(view, find_islands(view, ranges))
    graph = view.model.graph
    state.names = {name for node in graph.node for name in (*node.input, *node.output)}
    half_nodes = [node.name for node in view.nodes if _convert_node(state, node)]
    casts = sum(node.op_type == "Cast" for node in state.nodes)
    casts -= sum(node.op_type == "Cast" for node in graph.node)
    _restore_outputs(state)
    del graph.node[:]
    graph.node.extend(state.nodes)
    del graph.value_info[:]
    graph.initializer.extend(state.added.values())
    view.drop_unread_weights()
    view.refresh()
    return HalfReport(state.islands, tuple(half_nodes), casts)


def _convert_node(state: _State, node: Node) -> bool:
    """Append a node in its new type, with the Casts that it needs; say whether it is half."""
    half = _is_half(state, node)
    kept = _OWN_TYPE.get(node.op_type, ())
    for position, name in enumerate(node.input):
        if position in kept or not state.view.is_float(name):
            continue
        node.input[position] = _as_type(state, name, HALF if half else FLOAT)
    island = state.islands.get(node.name)
    kind = _HALF if half else (_OPEN if island and not island.sticky else _STICKY)
    for name in state.view.float_outputs(node):
        state.tensors[name] = kind
    state.nodes.append(node)
    return half


def _is_half(state: _State, node: Node) -> bool:
    if node.name in state.islands:
        return False
    if node.op_type in WEIGHTED:
        return True
    if node.op_type == "DequantizeLinear":
        return _dequantises_to_half(state, node)
    if node.op_type == "QuantizeLinear":
        # After a norm in FP32 it reads FP32: a rounding less, and no Cast.
        return state.tensors.get(node.input[0]) == _HALF
    kinds = {state.tensors.get(name, _STICKY) for name in state.view.activations(node)}
    return node.op_type in FOLLOW and bool(kinds & {_HALF, _OPEN})


def _dequantises_to_half(state: _State, node: Node) -> bool:
    """A DequantizeLinear has the type of the product that reads it."""
    readers = state.view.readers.get(node.output[0], [])
    return any(r.op_type in WEIGHTED and r.name not in state.islands for r in readers)


def _as_type(state: _State, name: str, wanted: int) -> str:
    """Return the name of a tensor in the wanted type, making it once where it is not there."""
    is_half = state.tensors.get(name) == _HALF
    if name not in state.view.weights and is_half == (wanted == HALF):
        return name
    if name in state.view.weights and wanted == FLOAT:
        return name
    key = (name, wanted)
    if key not in state.made:
        fresh = _unique(state, f"{name}_{'half' if wanted == HALF else 'float'}")
        state.made[key] = fresh
        if name in state.view.weights:
            state.added[fresh] = _half_weight(state.view, name, fresh)
        else:
            state.nodes.append(_cast(name, fresh, wanted))
    return state.made[key]


def _unique(state: _State, name: str) -> str:
    fresh, number = name, 0
    while fresh in state.names:
        number += 1
        fresh = f"{name}_{number}"
    state.names.add(fresh)
    return fresh


def _cast(source: str, target: str, kind: int) -> Node:
    import onnx

    return onnx.helper.make_node("Cast", [source], [target], name=f"precision/{target}", to=kind)


def _half_weight(view: GraphView, name: str, fresh: str) -> Any:  # noqa: ANN401 (TensorProto)
    import onnx

    values = view.array(name)
    if not np.isfinite(values).all():
        message = f"Weight '{name}' holds values that are not finite."
        raise ArtifactError(message, hint="The checkpoint is damaged; export it again.")
    half = values.astype(np.float16)
    readers = {reader.op_type for reader in view.readers.get(name, ())}
    if readers & {"QuantizeLinear", "DequantizeLinear"}:
        half = np.maximum(half, np.float16(2.0**-24))
    if not np.isfinite(half).all():
        message = f"Weight '{name}' has values up to {np.abs(values).max():g}, too large for FP16."
        raise ArtifactError(message, hint="Keep this bundle in FP32.")
    return onnx.numpy_helper.from_array(np.ascontiguousarray(half), fresh)


def _restore_outputs(state: _State) -> None:
    """Cast outputs of the graph back to the type that the contract has."""
    for item in state.view.model.graph.output:
        if state.tensors.get(item.name) != _HALF:
            continue
        inner = _unique(state, f"{item.name}_half")
        for node in state.nodes:
            node.output[:] = [inner if name == item.name else name for name in node.output]
            node.input[:] = [inner if name == item.name else name for name in node.input]
        state.nodes.append(_cast(inner, item.name, FLOAT))
