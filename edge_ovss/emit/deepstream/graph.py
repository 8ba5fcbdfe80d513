"""The bundle's graph in the shape that nvinfer can feed and read.

nvinfer hands a network one image as float32 [1, 3, H, W] and knows no uint8 input, and TensorRT has
no uint8 but at the ends of a graph. So a copy of the graph takes the same bytes as float32, planes
first; its labels are int32, and its other inputs constants. The weights stay as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_ovss._optional import require
from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import ArtifactError

FRAME, LABELS = "frame", "labels"
PROPERTY = "edge_ovss.graph_sha256"
"""Of the ONNX file: from which graph it was made."""
_PIXELS = "frame_pixels"
# What may read the frame and gives the same for bytes and for the same numbers in float32.
_INDIFFERENT = {"Cast", "Shape"}


def nvinfer_graph(bundle: Bundle, height: int, width: int) -> bytes:
    """Return the ONNX file: `frame` float32 [1, 3, H, W], RGB 0 to 255; `labels` int32 [1, H, W].

    Args:
        bundle: The bundle; its data files are named in the result as in its own graph.
        height: Of the frames.
        width: Of the frames.

    Raises:
        ArtifactError: The graph cannot be read, or reads the frame's bytes as such.
        MissingDependencyError: onnx is not installed.
    """
    onnx = require("onnx", extra="export")
    try:
        model = onnx.load_model(str(bundle.graph_path), load_external_data=False)
    except Exception as err:  # protobuf raises classes of its own
        message = f"The graph of '{bundle.path.name}' is not an ONNX file: {err}."
        raise ArtifactError(message, hint="Copy or export the bundle again.") from err
    graph = model.graph
    _take_floats(onnx, graph, bundle.path.name)
    _fix_inputs(onnx, graph, bundle)
    _give_int32(onnx, graph, bundle.path.name)
    _declare(onnx, graph, height, width)
    onnx.helper.set_model_props(model, {PROPERTY: graph_hash(bundle)})
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _take_floats(onnx: Any, graph: Any, name: str) -> None:  # noqa: ANN401 (of onnx)
    for node in graph.node:
        if FRAME in node.input and node.op_type not in _INDIFFERENT:
            raise _unfit(name, f"'{node.op_type}' reads the frame's bytes")
        for at, read in enumerate(node.input):
            if read == FRAME:
                node.input[at] = _PIXELS
    graph.node.insert(
        0, onnx.helper.make_node("Transpose", [FRAME], [_PIXELS], name=_PIXELS, perm=[0, 2, 3, 1])
    )


def _fix_inputs(onnx: Any, graph: Any, bundle: Bundle) -> None:  # noqa: ANN401 (of onnx)
    """Make constants of the other inputs: thresholds, and the words of an open bundle."""
    manifest = bundle.manifest
    frame = np.zeros((1, 1, 1, 3), np.uint8)
    given = manifest.contract.feed(frame, manifest.thresholds, bundle.word_inputs())
    known = {each.name for each in graph.initializer}
    for name, values in given.items():
        if name != FRAME and name not in known:
            graph.initializer.append(onnx.numpy_helper.from_array(values, name))


def _give_int32(onnx: Any, graph: Any, name: str) -> None:  # noqa: ANN401 (of onnx)
    (last,) = (node for node in graph.node if LABELS in node.output)
    if last.op_type != "Cast" or any(LABELS in node.input for node in graph.node):
        raise _unfit(name, "its labels do not end in a Cast")
    for attribute in last.attribute:
        if attribute.name == "to":
            attribute.i = onnx.TensorProto.INT32


def _declare(onnx: Any, graph: Any, height: int, width: int) -> None:  # noqa: ANN401 (of onnx)
    make, kinds = onnx.helper.make_tensor_value_info, onnx.TensorProto
    kept = [each for each in graph.value_info if each.name not in (FRAME, LABELS)]
    for part, values in (
        (graph.input, [make(FRAME, kinds.FLOAT, [1, 3, height, width])]),
        (graph.output, [make(LABELS, kinds.INT32, [1, height, width])]),
        (graph.value_info, kept),
    ):
        del part[:]
        part.extend(values)


def _unfit(name: str, why: str) -> ArtifactError:
    message = f"The graph of '{name}' cannot be given the input of nvinfer: {why}."
    return ArtifactError(message, hint="Export the bundle again.")
