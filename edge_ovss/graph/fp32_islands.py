"""Which nodes of a graph stay in FP32 when the rest becomes FP16, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from edge_ovss.graph.view import FLOAT, WEIGHTED, GraphView, Node

LARGEST = 32768.0
"""Largest magnitude that may be stored in FP16, half of what overflows."""

TINIEST = 6.1e-5
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

REASONS = {
    "norm": "sums of squares over a whole layer overflow in FP16",
    "softmax": "exponentials and their sum",
    "linear attention": "sums over categories and the division",
    "normalise": "a division by a norm or a sum",
    "reduce": "long sums lose digits in FP16",
    "answer": "ranking, votes, counts, labels and the heads that they are made from",
    "frame": "camera bytes, their resize, and integers that are held as floats",
    "range": f"values above {LARGEST:g} on the calibration pictures",
    "constant": "a constant that FP16 cannot hold",
    "unknown": "an operator that is not known to be safe in FP16",
}

_NORMS = frozenset({"LayerNormalization", "InstanceNormalization", "GroupNormalization"})
_SOFTMAX = frozenset({"Softmax", "LogSoftmax", "Exp", "Log", "ReduceLogSumExp"})
_REDUCE = frozenset({"ReduceL2", "ReduceSum", "ReduceMean", "ReduceSumSquare", "GlobalAveragePool"})
_NORMALISE = frozenset({"Div", "Reciprocal", "Sqrt", "Pow", "LpNormalization"})
_SCALARS_THAT_VANISH = frozenset({"Add", "Sub", "Max", "Min", "Clip", "Div"})


@dataclass(frozen=True)
class Island:
    """Why a node stays in FP32.

    Attributes:
        reason: Key of `REASONS`.
        sticky: Whether what follows it stays in FP32 too, up to the next matrix product.
    """

    reason: str
    sticky: bool = False


Islands = dict[str, Island]
"""Island by node name."""


def find_islands(view: GraphView, ranges: Mapping[str, float] | None = None) -> Islands:
    """Find the nodes that must stay in FP32.

    Args:
        view: A float32 graph.
        ranges: Largest magnitude by tensor name on real pictures, or None if it was not measured.
    """
    islands: Islands = {}
    for name in _answer_nodes(view):
        islands[name] = Island("answer", sticky=True)
    for name in _frame_nodes(view):
        islands.setdefault(name, Island("frame", sticky=True))
    for name in _linear_attention_nodes(view):
        islands.setdefault(name, Island("linear attention"))
    for node in view.nodes:
        island = _by_operator(view, node)
        if island is not None:
            islands.setdefault(node.name, island)
    _add_large(view, ranges or {}, islands)
    return islands


def _by_operator(view: GraphView, node: Node) -> Island | None:
    kind = node.op_type
    if not view.float_outputs(node) and not view.activations(node):
        return None
    for reason, kinds in (
        ("norm", _NORMS),
        ("softmax", _SOFTMAX),
        ("reduce", _REDUCE),
        ("normalise", _NORMALISE),
    ):
        if kind in kinds:
            return Island(reason)
    if kind in {"Cast", "Resize"}:
        return Island("frame", sticky=True)
    if kind not in WEIGHTED and kind not in FOLLOW:
        return Island("unknown", sticky=True)
    return Island("constant") if _has_lost_constant(view, node) else None


def _has_lost_constant(view: GraphView, node: Node) -> bool:
    """Whether a constant overflows in FP16, or a scalar such as an epsilon would vanish."""
    for name in node.input:
        if name not in view.weights or view.types[name] != FLOAT:
            continue
        values = np.abs(view.array(name))
        if values.size and float(values.max()) > LARGEST:
            return True
        tiny = values.size == 1 and 0 < float(values.max()) < TINIEST
        if tiny and node.op_type in _SCALARS_THAT_VANISH:
            return True
    return False


def _answer_nodes(view: GraphView) -> Iterable[str]:
    """Names of the nodes behind the last products before the outputs and before every ranking.

    The products themselves (score heads) are among them: two categories whose scores differ by
    less than FP16 can tell would tie, and ties are ordered differently everywhere.
    """
    starts = [item.name for item in view.model.graph.output]
    starts += [node.input[0] for node in view.nodes if node.op_type in {"TopK", "ArgMax"}]
    for node in view.upstream(starts, view.has_weight):
        yield node.name


def _frame_nodes(view: GraphView) -> Iterable[str]:
    """Names of the nodes between the camera and the first products: sizes, places, the resize."""
    for stem in view.stems():
        for node in view.upstream(view.activations(stem), view.has_weight):
            yield node.name


def _linear_attention_nodes(view: GraphView) -> Iterable[str]:
    """Names of the nodes between projections and a division of one product by another."""

    def stop(node: Node) -> bool:
        return view.has_weight(node) or _is_bias(view, node) or node.op_type in _NORMS

    for node in view.nodes:
        if node.op_type != "Div" or len(view.activations(node)) < 2:
            continue
        between = [each for each in view.upstream(list(node.input), stop) if not stop(each)]
        if any(each.op_type == "MatMul" for each in between):
            yield node.name
            yield from (each.name for each in between)


def _is_bias(view: GraphView, node: Node) -> bool:
    """Whether a node adds the bias of the product before it."""
    makers = [view.maker.get(name) for name in view.activations(node)]
    return (
        node.op_type == "Add"
        and len(makers) == 1
        and bool(makers[0])
        and view.has_weight(makers[0])
    )


def _add_large(view: GraphView, ranges: Mapping[str, float], islands: Islands) -> None:
    """Makers and readers of large tensors stay in FP32, whatever else they are."""
    for name, largest in ranges.items():
        if largest <= LARGEST or not view.is_float(name):
            continue
        maker = view.maker.get(name)
        for node in (*([maker] if maker is not None else []), *view.readers.get(name, ())):
            islands[node.name] = Island("range", sticky=node is maker)


def summarise_islands(islands: Islands) -> dict[str, list[str]]:
    """Return the node names by reason, for the manifest."""
    summary: dict[str, list[str]] = {}
    for name, island in islands.items():
        summary.setdefault(island.reason, []).append(name)
    return {reason: sorted(names) for reason, names in sorted(summary.items())}
