"""Keep ONNX Runtime from fusing a bias before it sees that a product is quantised.

Its fusion of MatMul and Add into Gemm comes first and hides the Q/DQ pattern, so that the product
runs in float32 with its weights converted back at every frame: sed-tiny in INT8 then took 0.21 s of
CPU time, FP32 0.20 s, and INT8 without the fusion 0.16 s. The fusion takes biases of one axis; one
with three axes computes the same and is left alone. Written as Gemm with an integer bias from the
start, sed-base took as long as with the sums apart (0.995 and 0.998 s).
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_ovss.graph.view import GraphView

_AXES = 3


def widen_biases(view: GraphView, nodes: Sequence[str]) -> int:
    """Give the biases behind quantised matrix products leading axes of 1, in place.

    Args:
        view: A graph with Q/DQ.
        nodes: Names of the quantised products.

    Returns:
        How many biases were changed.
    """
    import onnx

    wanted, changed = set(nodes), 0
    for node in view.nodes:
        readers = view.readers.get(node.output[0], [])
        if node.name not in wanted or node.op_type != "MatMul" or len(readers) != 1:
            continue
        add = readers[0]
        rank = len(view.shapes.get(node.output[0], ()))
        for place, name in enumerate(add.input):
            is_bias = add.op_type == "Add" and name in view.weights and rank >= _AXES
            if not is_bias or len(view.shapes[name]) != 1:
                continue
            wide = view.array(name).reshape(1, 1, -1)
            fresh = f"{name}/{add.name}"
            view.model.graph.initializer.append(onnx.numpy_helper.from_array(wide, fresh))
            add.input[place] = fresh
            changed += 1
    view.drop_unread_weights()
    view.refresh()
    return changed
