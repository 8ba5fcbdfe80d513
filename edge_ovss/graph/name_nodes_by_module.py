"""Name every node after the torch module it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_ovss.graph.walk import is_weight

if TYPE_CHECKING:
    import onnx_ir as ir

_SCOPES = "pkg.torch.onnx.name_scopes"
# Axes of the smallest weight that is no bias.
_MATRIX = 2


def name_nodes_by_module(model: ir.Model) -> int:
    """Name the nodes, in place; return how many there are.

    "decoder.layers.0.cnext.pwconv1/MatMul_3" says what a profile line, a quantization table or a
    parser's error is about; "node_MatMul_1043" does not. The number keeps names unique. What the
    whole model does itself is named after its weight: "layers.0.own/Conv_331".
    """
    for position, node in enumerate(model.graph):
        scope = _scope(node.metadata_props.get(_SCOPES, "")) or _weight(node) or "graph"
        node.name = f"{scope}/{node.op_type}_{position}"
    return len(model.graph)


def _scope(written: str) -> str:
    # Written as a Python list of strings: the last is the operation, the one before its module.
    names = [name.strip(" '\"") for name in written.strip("[]").split(",")]
    return names[-2] if len(names) > 1 else ""


def _weight(node: ir.Node) -> str:
    """Return the name of the matrix or the kernel that a node reads; empty if there is none."""
    read = [value for value in node.inputs if is_weight(value)]
    return next((str(each.name) for each in read if len(each.const_value.shape) >= _MATRIX), "")
