"""Store equal matrices once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

# Biases and scalars stay apart: they are small, and a quantizer may give each its own scale.
_MATRIX = 2


def share_equal_weights(model: ir.Model) -> int:
    """Let readers of equal matrices share one, in place; return how many are gone.

    The exporter transposes small matrices once per reader.
    """
    import onnx_ir as ir

    first: dict[tuple[object, ...], ir.Value] = {}
    dropped = 0
    for name, value in list(model.graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or len(tensor.shape) < _MATRIX or value.is_graph_output():
            continue
        digest = hashlib.sha256(tensor.tobytes()).digest()
        kept = first.setdefault((tensor.dtype, tuple(tensor.shape), digest), value)
        if kept is not value:
            ir.convenience.replace_all_uses_with(value, kept)
            del model.graph.initializers[name]
            dropped += 1
    return dropped
