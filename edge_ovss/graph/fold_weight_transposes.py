"""Pre-transpose a weight that several linear layers share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_ovss.graph.model import add_constant
from edge_ovss.graph.walk import array, is_weight

if TYPE_CHECKING:
    import onnx_ir as ir


def fold_weight_transposes(model: ir.Model) -> int:
    """Store weights the way they are read, in place; return how many Transposes are gone.

    The exporter transposes a weight that is read once, but leaves a Transpose before every reader
    of a shared one: a runtime would then hold a transposed copy for each.
    """
    import onnx_ir as ir

    folded: dict[tuple[str, tuple[int, ...]], ir.Value] = {}
    nodes = [node for node in model.graph if node.op_type == "Transpose"]
    nodes = [node for node in nodes if is_weight(node.inputs[0])]
    for node in nodes:
        source = node.inputs[0]
        order = tuple(node.attributes["perm"].as_ints())
        if (source.name, order) not in folded:
            values = array(source).transpose(order).copy()
            folded[source.name, order] = add_constant(model, f"{source.name}.turned", values)
        ir.convenience.replace_all_uses_with(node.outputs[0], folded[source.name, order])
        model.graph.remove(node, safe=True)
        if not source.uses() and source.name in model.graph.initializers:
            del model.graph.initializers[source.name]
    return len(nodes)
