"""Look into a graph while it runs: the values of any tensor, or extremes and samples of them.

The reductions run in the graph itself, so that one run per image serves hundreds of tensors
without any of them being copied out or kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.bundle.contract import Arrays
from edge_ovss.errors import ArtifactError
from edge_ovss.graph.model import add_constant, feed, first_line, make_node
from edge_ovss.graph.walk import FLOAT, sides, values_by_name

if TYPE_CHECKING:
    import onnx_ir as ir

SAMPLES = 1 << 16
"""Values of a tensor that are looked at per image; the extremes are found among all."""

_PREFIX = "probe/"

Look = Callable[["ir.Model", "ir.Value"], "list[ir.Node]"]
"""Makes the nodes that reduce a tensor; the last one has the result. None for the tensor itself."""


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
    # Nodes that are ready run in file order: a probe of a tensor comes before its next reader.
    options.execution_order = runtime.ExecutionOrder.PRIORITY_BASED
    # Spinning helps one frame at a time; over hundreds of images it only takes others' CPU time.
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


def extremes(model: ir.Model, value: ir.Value) -> list[ir.Node]:
    """Look for [lowest, highest, sum of magnitudes], float32."""
    own, one = f"{_PREFIX}{value.name}", _constant(model, "one", 1)
    # A maximum may overlook NaN; a sum of magnitudes never does.
    nodes = [make_node("Abs", [value], f"{own}/abs", dtype=FLOAT)]
    parts = []
    for kind, source in (
        ("ReduceMin", value),
        ("ReduceMax", value),
        ("ReduceSum", nodes[0].outputs[0]),
    ):
        found = make_node(kind, [source], f"{own}/{kind}", dtype=FLOAT, keepdims=0)
        part = make_node("Reshape", [found.outputs[0], one], f"{own}/{kind}/1", dtype=FLOAT)
        nodes += [found, part]
        parts.append(part.outputs[0])
    return [*nodes, make_node("Concat", parts, own, dtype=FLOAT, axis=0)]


def samples(model: ir.Model, value: ir.Value) -> list[ir.Node]:
    """Look for about `SAMPLES` of the values, float32."""
    own, size = f"{_PREFIX}{value.name}", 1
    for side in sides(value) or ():
        size *= side or 1
    # An odd step meets every channel and column in turn.
    step = max(1, size // SAMPLES) | 1
    first, last = _constant(model, "first", 0), _constant(model, "last", np.iinfo(np.int64).max)
    ends = [first, last, first, _constant(model, f"step{step}", step)]
    flat = make_node("Reshape", [value, _constant(model, "flat", -1)], f"{own}/flat", dtype=FLOAT)
    return [flat, make_node("Slice", [flat.outputs[0], *ends], own, dtype=FLOAT)]


def _constant(model: ir.Model, key: str, number: int) -> ir.Value:
    name = f"{_PREFIX}{key}"
    known = model.graph.initializers.get(name)
    return known if known is not None else add_constant(model, name, np.array([number], np.int64))


class TensorProbe:
    """A graph that returns inner tensors, or reductions of them.

    Args:
        model: The graph; it is not changed.
        tensors: Names of float tensors.
        look: `extremes`, `samples` or, for the tensors themselves, None. The graph then computes
            nothing else.
        words: `text` and `places` of an open graph; None where words are frozen.

    Attributes:
        tensors: As given.
        model: The graph that runs.
    """

    def __init__(
        self,
        model: ir.Model,
        tensors: Sequence[str],
        *,
        look: Look | None = extremes,
        words: Arrays | None = None,
    ) -> None:
        import onnx_ir as ir

        self._words = words
        self.tensors = tuple(tensors)
        self.model = model = model.clone()
        known = values_by_name(model)
        asked = [known[name] for name in tensors]
        if look is None:
            model.graph.outputs[:] = list(dict.fromkeys(asked))
        else:
            asked = [_put_behind_maker(model, value, look(model, value)) for value in asked]
            model.graph.outputs.extend(asked)
        self._names = [str(value.name) for value in asked]
        self._session = open_session(ir.to_proto(model).SerializeToString(), folder=_folder(model))

    def run(self, image: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yield (tensor, float32) for a frame, uint8 [H, W, 3] RGB.

        Raises:
            ArtifactError: The graph fails.
        """
        try:
            values = self._session.run(self._names, feed(self._session, image, words=self._words))
        except Exception as err:
            message = f"The graph fails on an image: {first_line(err)}"
            raise ArtifactError(message, hint="Run edge-ovss selftest on the bundle.") from err
        yield from zip(self.tensors, values, strict=True)


def _put_behind_maker(model: ir.Model, value: ir.Value, nodes: list[ir.Node]) -> ir.Value:
    """Put the nodes that look at a tensor behind the one that makes it; return the result.

    Nodes of equal rank run in their order in the file. At its end, they would all run when
    everything is made, and every tensor would be kept until then: 12.9 GB for a base model.
    """
    maker = value.producer()
    if maker is None:
        model.graph.extend(nodes)
    else:
        model.graph.insert_after(maker, nodes)
    return nodes[-1].outputs[0]


def _folder(model: ir.Model) -> Path | None:
    """Return where the weights are that are not in memory."""
    import onnx_ir as ir

    tensors = (value.const_value for value in model.graph.initializers.values())
    places = (each.base_dir for each in tensors if isinstance(each, ir.ExternalTensor))
    place = next(places, None)
    return None if place is None else Path(place)
