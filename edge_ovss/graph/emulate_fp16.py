"""Round as an FP16 device does, in a float32 graph.

ONNX Runtime has no FP16 kernels for most operators on x86: it computes in FP32 between Casts, and
drops pairs of them, so that its outputs for an FP16 graph are better than a device's. Here every
tensor that an FP16 node reads or writes goes through FP16 and back, and overflows as it would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_ovss.graph.fp16 import HalfReport
from edge_ovss.graph.model import make_node
from edge_ovss.graph.walk import FLOAT, HALF, array, float_outputs, is_float, is_weight

if TYPE_CHECKING:
    import onnx_ir as ir


def emulate_half(model: ir.Model, report: HalfReport) -> None:
    """Add roundings to a float32 graph, in place.

    Args:
        model: The float32 graph that `report` was made from; not the converted one.
        report: Which nodes became FP16.
    """
    half = set(report.half_nodes)
    rounded: dict[ir.Value, ir.Value] = {}
    for node in [node for node in model.graph if node.name in half]:
        for position, value in enumerate(node.inputs):
            if is_weight(value) and is_float(value):
                _round_weight(value)
            elif is_float(value):
                if value not in rounded:
                    rounded[value], casts = _round(value)
                    model.graph.insert_before(node, casts)
                node.replace_input_with(position, rounded[value])
        for value in float_outputs(node):
            rounded[value], casts = _round(value)
            model.graph.insert_after(node, casts)


def _round(value: ir.Value) -> tuple[ir.Value, list[ir.Node]]:
    shape, name = value.shape, str(value.name)
    down = make_node("Cast", [value], f"{name}/half", dtype=HALF, shape=shape, to=HALF)
    back = make_node("Cast", down.outputs, f"{name}/rounded", dtype=FLOAT, shape=shape, to=FLOAT)
    return back.outputs[0], [down, back]


def _round_weight(weight: ir.Value) -> None:
    import onnx_ir as ir

    values = array(weight).astype(np.float16).astype(np.float32)
    weight.const_value = ir.tensor(values, name=weight.name)
