"""Look into a graph while it runs: extremes and samples of any tensor, found inside the graph.

The reductions run in the graph itself, so that one run per picture serves hundreds of tensors
without any of them being copied out or kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.errors import ArtifactError
from edge_ovss.graph.view import FLOAT, GraphView

SAMPLES = 1 << 16
"""Values of a tensor that are looked at per picture; the extremes are found among all."""

_PREFIX = "probe/"


def open_session(model: Path | bytes, *, folder: Path | None = None) -> Any:  # noqa: ANN401
    """Open a graph with ONNX Runtime on the CPU.

    Args:
        model: An ONNX file, or its bytes.
        folder: Where the external data of the bytes are.

    Raises:
        ArtifactError: ONNX Runtime cannot load it.
    """
    from edge_ovss._machine import available_cores

    runtime = require("onnxruntime", extra="export")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = available_cores()
    # What is ready runs in the order of the file: a look at a tensor comes before its next reader.
    options.execution_order = runtime.ExecutionOrder.PRIORITY_BASED
    # Idle threads that wait busily are right for one frame at a time, and rude for hundreds.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if folder is not None:
        key = "session.model_external_initializers_file_folder_path"
        options.add_session_config_entry(key, str(folder))
    source = model if isinstance(model, bytes) else str(model)
    try:
        return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as err:  # ONNX Runtime raises a class of its own for every status
        message = f"ONNX Runtime cannot load the graph: {first_line(err)}"
        raise ArtifactError(message, hint="Upgrade onnxruntime, or export again.") from err


class Probe:
    """A graph that answers with what was asked of its tensors.

    Args:
        path: The ONNX file.
        view: Its graph.
        tensors: Names of float tensors.
        samples: Answer with samples of the values instead of with the extremes.

    Attributes:
        tensors: As given.
        model: The graph that runs, an `onnx.ModelProto` without its weights.
    """

    def __init__(
        self, path: Path, view: GraphView, tensors: Sequence[str], *, samples: bool = False
    ) -> None:
        import onnx

        self.tensors = tuple(tensors)
        self.model = model = onnx.load(str(path), load_external_data=False)
        looks = (_sample_nodes if samples else _extreme_nodes)(model, view, tensors)
        _put_behind_makers(model, looks)
        self._names = [f"{_PREFIX}{name}" for name in tensors]
        for name in self._names:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, FLOAT, None))
        self._session = open_session(bytes(model.SerializeToString()), folder=path.parent)

    def run(self, image: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yield (tensor, float32) for a frame: [lowest, highest, sum of magnitudes], or samples.

        Raises:
            ArtifactError: The graph fails.
        """
        try:
            values = self._session.run(self._names, {"frame": image[None]})
        except Exception as err:
            message = f"The graph fails on a calibration picture: {first_line(err)}"
            raise ArtifactError(message, hint="Run edge-ovss selftest on the bundle.") from err
        yield from zip(self.tensors, values, strict=True)


def _put_behind_makers(model: Any, looks: dict[str, list[Any]]) -> None:  # noqa: ANN401
    """Put the nodes that look at a tensor behind the one that makes it.

    Nodes of equal rank run in their order in the file. At its end, they would all run when
    everything is made, and every tensor would be kept until then: 12.9 GB for sed-base.
    """
    waiting, ordered = dict(looks), []
    for node in model.graph.node:
        ordered.append(node)
        for name in node.output:
            ordered.extend(waiting.pop(name, ()))
    for nodes in waiting.values():  # of inputs
        ordered.extend(nodes)
    del model.graph.node[:]
    model.graph.node.extend(ordered)


def _extreme_nodes(
    model: Any,  # noqa: ANN401 (onnx.ModelProto)
    view: GraphView,
    tensors: Sequence[str],
) -> dict[str, list[Any]]:
    import onnx

    make = onnx.helper.make_node
    _add_constant(model, "one", np.array([1]))
    looks = {}
    for name in tensors:
        own = f"{_PREFIX}{name}"
        parts, nodes = [], []
        # A maximum may overlook NaN; a sum of magnitudes never does.
        nodes.append(make("Abs", [name], [f"{own}/abs"]))
        for kind, source in (("ReduceMin", name), ("ReduceMax", name), ("ReduceSum", f"{own}/abs")):
            nodes.append(make(kind, [source], [f"{own}/{kind}"], keepdims=0))
            nodes.append(make("Reshape", [f"{own}/{kind}", f"{_PREFIX}one"], [f"{own}/{kind}/1"]))
            parts.append(f"{own}/{kind}/1")
        nodes.append(make("Concat", parts, [own], axis=0))
        looks[name] = nodes
    return looks


def _sample_nodes(
    model: Any,  # noqa: ANN401
    view: GraphView,
    tensors: Sequence[str],
) -> dict[str, list[Any]]:
    import onnx

    make = onnx.helper.make_node
    for key, value in (("flat", -1), ("first", 0), ("last", np.iinfo(np.int64).max)):
        _add_constant(model, key, np.array([value]))
    looks = {}
    for place, name in enumerate(tensors):
        own = f"{_PREFIX}{name}"
        _add_constant(model, f"step{place}", np.array([_step(view, name)]))
        ends = [f"{_PREFIX}first", f"{_PREFIX}last", f"{_PREFIX}first", f"{_PREFIX}step{place}"]
        looks[name] = [
            make("Reshape", [name, f"{_PREFIX}flat"], [f"{own}/flat"]),
            make("Slice", [f"{own}/flat", *ends], [own]),
        ]
    return looks


def _step(view: GraphView, name: str) -> int:
    sides = view.shapes.get(name, ())
    size = int(np.prod([side or 1 for side in sides], dtype=np.int64))
    # An odd step meets every channel and column in turn.
    return max(1, size // SAMPLES) | 1


def _add_constant(model: Any, key: str, values: NDArray[Any]) -> None:  # noqa: ANN401
    import onnx

    tensor = onnx.numpy_helper.from_array(values.astype(np.int64), f"{_PREFIX}{key}")
    model.graph.initializer.append(tensor)


def first_line(err: Exception) -> str:
    """Return the first line of what an error says."""
    lines = str(err).strip().splitlines() or [type(err).__name__]
    return lines[0][:300]
