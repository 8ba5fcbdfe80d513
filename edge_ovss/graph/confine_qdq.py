"""Confine Q/DQ to the products that it was made for.

ONNX Runtime's quantizer puts one pair behind a tensor and gives its output to every node that
reads the tensor: score heads, depthwise and transposed convolutions and residual sums then read
INT8 because a neighbor does.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from edge_ovss.graph.walk import is_constant, readers

if TYPE_CHECKING:
    import onnx_ir as ir


def confine_qdq(model: ir.Model, nodes: Collection[str], outputs: Collection[str]) -> int:
    """Let readers of a dequantized tensor read the tensor itself, unless they are meant, in place.

    Args:
        model: A graph with Q/DQ behind activations.
        nodes: Names of the quantized products: they go on reading what was dequantized.
        outputs: Operators whose outputs are quantized as well. Where a product of these made the
            tensor, every node reads it dequantized: a product in integers has no other output.

    Returns:
        How many inputs were changed.
    """
    changed = 0
    for node in model.graph:
        source = node.inputs[0] if node.op_type == "QuantizeLinear" else None
        if source is None or is_constant(source) or _in_integers(source, nodes, outputs):
            continue
        for dequantize in readers(node.outputs[0]):
            for reader, position in list(dequantize.outputs[0].uses()):
                if reader.name not in nodes:
                    reader.replace_input_with(position, source)
                    changed += 1
    return changed


def _in_integers(source: ir.Value, nodes: Collection[str], outputs: Collection[str]) -> bool:
    maker = source.producer()
    return maker is not None and maker.name in nodes and maker.op_type in outputs
