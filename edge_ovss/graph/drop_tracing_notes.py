"""Drop the notes that the exporter makes for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir


def drop_tracing_notes(model: ir.Model) -> int:
    """Drop the notes, in place; return how many nodes and tensors had some.

    They hold source lines and paths of the exporting machine.
    """
    produced = [output for node in model.graph for output in node.outputs]
    weights = model.graph.initializers.values()
    dropped = 0
    for item in (*model.graph, *weights, *model.graph.inputs, *produced):
        dropped += bool(item.metadata_props)
        item.metadata_props.clear()
        item.doc_string = None
    return dropped
