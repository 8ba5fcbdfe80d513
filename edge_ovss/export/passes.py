"""Passes over the exported graph. Each is one function from a model to how much it changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_SCOPES = "pkg.torch.onnx.name_scopes"


def apply_passes(model: Any) -> dict[str, int]:  # noqa: ANN401
    """Run every pass in order, in place.

    Args:
        model: An `onnx_ir.Model`.

    Returns:
        For every pass, how many nodes it changed.
    """
    passes: tuple[Callable[[Any], int], ...] = (name_nodes_by_module, drop_tracing_notes)
    return {step.__name__: step(model) for step in passes}


def name_nodes_by_module(model: Any) -> int:  # noqa: ANN401
    """Name every node after the torch module it came from.

    "decoder.layers.0.cnext.pwconv1/MatMul_3" says what a profile line, a quantisation table or a
    parser's error is about; "node_MatMul_1043" does not. The number keeps names unique.
    """
    for position, node in enumerate(model.graph):
        scopes = _scopes(node.metadata_props.get(_SCOPES, ""))
        node.name = f"{scopes}/{node.op_type}_{position}"
    return len(model.graph)


def _scopes(written: str) -> str:
    # Written as a Python list of strings: the last is the operation, the one before its module.
    names = [name.strip(" '\"") for name in written.strip("[]").split(",")]
    return names[-2] if len(names) > 1 and names[-2] else "graph"


def drop_tracing_notes(model: Any) -> int:  # noqa: ANN401
    """Drop the exporter's notes: they hold source lines and paths of the exporting machine."""
    dropped = 0
    for item in (*model.graph, *model.graph.initializers.values(), *_values(model)):
        dropped += bool(item.metadata_props)
        item.metadata_props.clear()
        item.doc_string = None
    return dropped


def _values(model: Any) -> list[Any]:  # noqa: ANN401
    produced = [output for node in model.graph for output in node.outputs]
    return [*model.graph.inputs, *produced]
