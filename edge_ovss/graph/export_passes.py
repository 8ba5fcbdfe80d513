"""The passes over an exported graph, in order. Each returns how much it changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edge_ovss.graph.drop_tracing_notes import drop_tracing_notes
from edge_ovss.graph.fold_weight_transposes import fold_weight_transposes
from edge_ovss.graph.name_nodes_by_module import name_nodes_by_module
from edge_ovss.graph.resize_in_turn import resize_in_turn
from edge_ovss.graph.share_equal_weights import share_equal_weights

if TYPE_CHECKING:
    import onnx_ir as ir

EXPORT_PASSES: tuple[Callable[[ir.Model], int], ...] = (
    fold_weight_transposes,
    share_equal_weights,
    resize_in_turn,
    name_nodes_by_module,
    drop_tracing_notes,
)


def apply_export_passes(model: ir.Model) -> dict[str, int]:
    """Run every pass, in place; return how much each changed, by its name."""
    return {each.__name__: each(model) for each in EXPORT_PASSES}
