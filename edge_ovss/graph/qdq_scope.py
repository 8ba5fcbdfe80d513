"""Keep Q/DQ to the products it was made for.

ONNX Runtime's quantiser puts one pair behind a tensor and gives its answer to everybody who reads
the tensor: score heads, depthwise and transposed convolutions and residual sums then read INT8
because a neighbour does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edge_ovss.graph.view import GraphView, Node


def keep_to(view: GraphView, nodes: Sequence[str], outputs: Collection[str]) -> int:
    """Give readers of a dequantised tensor the tensor itself, unless they are meant, in place.

    Args:
        view: A graph with Q/DQ behind activations.
        nodes: Names of the quantised products: they go on reading what was dequantised.
        outputs: Operators whose outputs are quantised as well. Where a product of these made the
            tensor, everybody reads it dequantised: a product in integers leaves no other answer.

    Returns:
        How many inputs were changed.
    """
    meant, changed = set(nodes), 0
    for quantise in view.nodes:
        source = quantise.input[0] if quantise.op_type == "QuantizeLinear" else ""
        if not source or view.is_constant(source) or _in_integers(view, source, meant, outputs):
            continue
        for dequantise in view.readers.get(quantise.output[0], []):
            changed += _turn_back(view, dequantise.output[0], source, meant)
    view.refresh()
    return changed


def _in_integers(view: GraphView, source: str, meant: set[str], outputs: Collection[str]) -> bool:
    maker = view.maker.get(source)
    return maker is not None and maker.name in meant and maker.op_type in outputs


def _turn_back(view: GraphView, name: str, source: str, meant: set[str]) -> int:
    readers = [node for node in view.readers.get(name, []) if node.name not in meant]
    return sum(_replace(node, name, source) for node in readers)


def _replace(node: Node, name: str, source: str) -> int:
    places = [place for place, given in enumerate(node.input) if given == name]
    for place in places:
        node.input[place] = source
    return len(places)
