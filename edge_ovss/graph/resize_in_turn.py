"""Compare the scores of some categories before those of the next are upsampled.

A runtime may run a node as soon as its inputs are there, and ONNX Runtime walks back from the
outputs: it would upsample the scores of all categories and only then compare them, 2.5 GB at 12
megapixels. Here every Resize takes its size from the labels so far, so that they must be there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_ovss.graph.model import add_constant, make_node
from edge_ovss.graph.walk import INT64

if TYPE_CHECKING:
    import onnx_ir as ir

# Place of the sizes among a Resize's inputs.
_SIZES = 3


def resize_in_turn(model: ir.Model) -> int:
    """Make every Resize of scores wait for the labels before it, in place; return how many."""
    import onnx_ir as ir

    two: ir.Value | None = None
    labels: ir.Value | None = None
    changed = 0
    for node in list(model.graph):
        output = node.outputs[0]
        if node.op_type == "Where" and _frame_sides(output):
            labels = output
        elif node.op_type == "Resize" and labels is not None and _same_sides(output, labels):
            two = two or add_constant(model, "resize_in_turn.first_two", np.array([0, 1], np.int64))
            pair, four = ir.Shape([2]), ir.Shape([4])
            front = make_node("Gather", [node.inputs[_SIZES], two], None, dtype=INT64, shape=pair)
            size = make_node("Shape", [labels], None, dtype=INT64, shape=pair, start=-2)
            parts = [front.outputs[0], size.outputs[0]]
            whole = make_node("Concat", parts, None, dtype=INT64, shape=four, axis=0)
            model.graph.insert_before(node, [front, size, whole])
            node.replace_input_with(_SIZES, whole.outputs[0])
            changed += 1
    return changed


def _frame_sides(value: ir.Value) -> tuple[object, ...]:
    """Return a tensor's last two sizes where both are known at run time only; else nothing."""
    sides = tuple(value.shape)[-2:] if value.shape is not None else ()
    return sides if len(sides) == 2 and not any(isinstance(side, int) for side in sides) else ()


def _same_sides(one: ir.Value, other: ir.Value) -> bool:
    return bool(_frame_sides(one)) and _frame_sides(one) == _frame_sides(other)
