"""Round as an FP16 device does, in a float32 graph.

ONNX Runtime has no FP16 kernels for most operators on x86: it computes in FP32 between Casts, and
drops pairs of them, so that its answer to an FP16 graph is better than a device's. Here every
tensor that the FP16 graph holds in FP16 goes through FP16 and back, and overflows as it would.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_ovss.graph.fp16 import HalfReport
from edge_ovss.graph.view import FLOAT, HALF, GraphView, Node


def emulate_half(view: GraphView, report: HalfReport) -> None:
    """Add roundings to a float32 graph, in place.

    Args:
        view: The float32 graph that `report` was made from; not the converted one.
        report: Which nodes became FP16.
    """
    import onnx

    half = set(report.half_nodes)
    rounded: dict[str, str] = {}
    nodes: list[Node] = []
    for node in view.nodes:
        if node.name in half:
            _round_inputs(view, node, rounded, nodes)
        nodes.append(node)
        if node.name in half:
            for name in view.float_outputs(node):
                rounded[name] = _round(name, nodes)
    graph = view.model.graph
    for item in graph.output:
        if item.name in rounded:
            nodes.append(onnx.helper.make_node("Identity", [rounded[item.name]], [item.name]))
    del graph.node[:]
    graph.node.extend(nodes)
    view.refresh()


def _round_inputs(view: GraphView, node: Node, rounded: dict[str, str], nodes: list[Node]) -> None:
    for position, name in enumerate(node.input):
        if not view.is_float(name):
            continue
        if name in view.weights:
            _round_weight(view, name)
            continue
        if name not in rounded:
            rounded[name] = _round(name, nodes)
        node.input[position] = rounded[name]


def _round(name: str, nodes: list[Node]) -> str:
    import onnx

    half, back = f"{name}/half", f"{name}/rounded"
    nodes.append(onnx.helper.make_node("Cast", [name], [half], to=HALF))
    nodes.append(onnx.helper.make_node("Cast", [half], [back], to=FLOAT))
    return back


def _round_weight(view: GraphView, name: str) -> Any:  # noqa: ANN401
    import onnx

    values = view.array(name).astype(np.float16).astype(np.float32)
    view.weights[name].CopyFrom(onnx.numpy_helper.from_array(values, name))
