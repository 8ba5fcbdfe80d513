"""Which nodes of a graph stay in FP32 when the rest becomes FP16, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_ovss.graph.walk import (
    WEIGHTED,
    activations,
    answer_nodes,
    array,
    float_outputs,
    has_weight,
    is_float,
    is_weight,
    is_within,
    readers,
    stems,
    upstream,
    values_by_name,
)

if TYPE_CHECKING:
    import onnx_ir as ir

LARGEST = 32768.0
"""Largest magnitude that may be stored in FP16, half of what overflows."""

SMALLEST = 6.1e-5
"""Below this, FP16 loses digits (smallest normal number); a constant must not get lost."""

FOLLOW = frozenset(
    (
        *("Add", "Sub", "Mul", "Neg", "Abs", "Max", "Min", "Where", "Clip", "Erf"),
        *("Relu", "LeakyRelu", "PRelu", "Gelu", "Elu", "Tanh", "Sigmoid", "HardSigmoid"),
        *("HardSwish", "AveragePool", "MaxPool", "Reshape", "Transpose", "Gather", "Concat"),
        *("Split", "Slice", "Squeeze", "Unsqueeze", "Expand", "Identity", "Flatten", "Tile"),
        *("DepthToSpace", "SpaceToDepth", "QuantizeLinear", "DequantizeLinear"),
    )
)
"""Operators that compute in the type of what comes in."""

_NORMS = frozenset({"LayerNormalization", "InstanceNormalization", "GroupNormalization"})
_SOFTMAX = ("Softmax", "LogSoftmax", "Exp", "Log", "ReduceLogSumExp")
_REDUCE = ("ReduceL2", "ReduceSum", "ReduceMean", "ReduceSumSquare", "GlobalAveragePool")
_NORMALIZE = ("Div", "Reciprocal", "Sqrt", "Pow", "LpNormalization")
_REASON_BY_OPERATOR = {
    **dict.fromkeys(_NORMS, "norm"),
    **dict.fromkeys(_SOFTMAX, "softmax"),
    **dict.fromkeys(_REDUCE, "reduce"),
    **dict.fromkeys(_NORMALIZE, "normalise"),
}
_SCALARS_THAT_VANISH = frozenset({"Add", "Sub", "Max", "Min", "Clip", "Div"})


@dataclass(frozen=True)
class Island:
    """Why a node stays in FP32.

    Attributes:
        reason: Key of `reasons.ISLANDS`.
        sticky: Whether what follows it stays in FP32 too, up to the next matrix product.
    """

    reason: str
    sticky: bool = False


Islands = dict[str, Island]
"""Island by node name."""


def find_islands(
    model: ir.Model,
    ranges: Mapping[str, float] | None = None,
    kept: Collection[str] = (),
    exact: Collection[str] = (),
) -> Islands:
    """Find the nodes that must stay in FP32.

    Args:
        model: A float32 graph.
        ranges: Largest magnitude by tensor name on real images, or None if it was not measured.
        kept: Names of nodes that stay in FP32 because FP16 changes too many labels there.
        exact: Names of modules that stay in FP32 because the model's family says so.
    """
    islands: Islands = {}
    # Two categories whose scores differ by less than FP16 can tell would tie, and ties are
    # ordered differently everywhere: the score heads are in FP32 too.
    for node in answer_nodes(model):
        islands[node.name] = Island("answer", sticky=True)
    for node in _frame_nodes(model):
        islands.setdefault(node.name, Island("frame", sticky=True))
    for node in _linear_attention_nodes(model):
        islands.setdefault(node.name, Island("linear attention"))
    for node in model.graph:
        island = _by_operator(node)
        if island is not None:
            islands.setdefault(node.name, island)
    _add_large(model, ranges or {}, islands)
    for node in model.graph:
        if not float_outputs(node) and not activations(node):
            continue
        if is_within(node, exact):
            islands.setdefault(node.name, Island("family"))
        elif node.name in kept:
            islands.setdefault(node.name, Island("accuracy"))
    return islands


def _by_operator(node: ir.Node) -> Island | None:
    kind = node.op_type
    if not float_outputs(node) and not activations(node):
        return None
    if kind in _REASON_BY_OPERATOR:
        return Island(_REASON_BY_OPERATOR[kind])
    if kind in {"Cast", "Resize"}:
        return Island("frame", sticky=True)
    if kind not in WEIGHTED and kind not in FOLLOW:
        return Island("unknown", sticky=True)
    return Island("constant") if _has_lost_constant(node) else None


def _has_lost_constant(node: ir.Node) -> bool:
    """Whether a constant overflows in FP16, or a scalar such as an epsilon would vanish."""
    for value in node.inputs:
        if not is_weight(value) or not is_float(value):
            continue
        values = np.abs(array(value))
        if values.size and float(values.max()) > LARGEST:
            return True
        tiny = values.size == 1 and 0 < float(values.max()) < SMALLEST
        if tiny and node.op_type in _SCALARS_THAT_VANISH:
            return True
    return False


def _frame_nodes(model: ir.Model) -> Iterable[ir.Node]:
    """Yield the nodes between the camera and the first products: sizes, places, the resize."""
    for stem in stems(model):
        yield from upstream(activations(stem), has_weight)


def _linear_attention_nodes(model: ir.Model) -> Iterable[ir.Node]:
    """Yield the nodes between projections and a division of one product by another."""

    def stop(node: ir.Node) -> bool:
        return has_weight(node) or _is_bias(node) or node.op_type in _NORMS

    for node in model.graph:
        if node.op_type != "Div" or len(activations(node)) < 2:
            continue
        between = [each for each in upstream(node.inputs, stop) if not stop(each)]
        if any(each.op_type == "MatMul" for each in between):
            yield node
            yield from between


def _is_bias(node: ir.Node) -> bool:
    """Whether a node adds the bias of the product before it."""
    makers = [value.producer() for value in activations(node)]
    return node.op_type == "Add" and len(makers) == 1 and bool(makers[0]) and has_weight(makers[0])


def _add_large(model: ir.Model, ranges: Mapping[str, float], islands: Islands) -> None:
    """Makers and readers of large tensors stay in FP32, whatever else they are."""
    for name, value in values_by_name(model).items():
        if ranges.get(name, 0.0) <= LARGEST or not is_float(value):
            continue
        maker = value.producer()
        for node in (*([maker] if maker is not None else []), *readers(value)):
            islands[node.name] = Island("range", sticky=node is maker)


def summarize_islands(islands: Islands) -> dict[str, list[str]]:
    """Return the node names by reason, for the manifest."""
    summary: dict[str, list[str]] = {}
    for name, island in islands.items():
        summary.setdefault(island.reason, []).append(name)
    return {reason: sorted(names) for reason, names in sorted(summary.items())}
