"""Read and walk an ONNX graph: who makes a tensor, who reads it, what type it has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.errors import ArtifactError

FLOAT, HALF = 1, 10
"""Numbers of the tensor types in onnx.proto3."""

WEIGHTED = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum"})
"""Operators that do the heavy work."""

_SMALL = 1024

Node = Any
Visit = Callable[[Node], bool]


@dataclass
class GraphView:
    """An ONNX model in memory with its edges.

    Attributes:
        model: An `onnx.ModelProto` with its weights.
        types: Number of the tensor type by tensor name.
        shapes: Shape by tensor name, None for a side that is free.
        weights: Initialiser by name.
    """

    model: Any
    types: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, tuple[int | None, ...]] = field(default_factory=dict)
    weights: dict[str, Any] = field(default_factory=dict)
    maker: dict[str, Node] = field(default_factory=dict)
    readers: dict[str, list[Node]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> GraphView:
        """Read an ONNX file with its external data.

        Raises:
            ArtifactError: It cannot be read, has branches or loops, or is no graph of this package.
        """
        onnx = require("onnx", extra="export")
        try:
            model = onnx.load(str(path))
            onnx.checker.check_model(str(path))
        except Exception as err:  # onnx and protobuf raise classes of their own
            message = f"'{path.name}' is not an ONNX model that can be read: {_first_line(err)}"
            raise ArtifactError(message, hint="Export the bundle again.") from err
        return cls.of(model)

    @classmethod
    def of(cls, model: Any) -> GraphView:  # noqa: ANN401 (onnx.ModelProto)
        """Return the view of a model; in place, constants become initialisers, nodes are sorted.

        Raises:
            ArtifactError: It has branches or loops.
        """
        _lift_constants(model)
        _sort_nodes(model)
        view = cls(model)
        view._infer()
        view.refresh()
        return view

    @property
    def nodes(self) -> list[Node]:
        """The nodes, in the order in which they run."""
        return list(self.model.graph.node)

    def refresh(self) -> None:
        """Find the edges again after nodes or initialisers have changed."""
        graph = self.model.graph
        self.weights = {item.name: item for item in graph.initializer}
        self.maker = {name: node for node in graph.node for name in node.output if name}
        readers: dict[str, list[Node]] = defaultdict(list)
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                if name:
                    readers[name].append(node)
        self.readers = readers

    def is_float(self, name: str) -> bool:
        """Whether a tensor is float32 in the file."""
        return self.types.get(name) == FLOAT

    def activations(self, node: Node) -> list[str]:
        """Float inputs of a node that are not constant."""
        return [name for name in node.input if self.is_float(name) and not self.is_constant(name)]

    def is_constant(self, name: str) -> bool:
        """Whether a tensor is a weight, quantised or not."""
        if name in self.weights:
            return True
        maker = self.maker.get(name)
        if maker is None or maker.op_type not in {"QuantizeLinear", "DequantizeLinear"}:
            return False
        return self.is_constant(maker.input[0])

    def float_outputs(self, node: Node) -> list[str]:
        """Float outputs of a node."""
        return [name for name in node.output if self.is_float(name)]

    def has_weight(self, node: Node) -> bool:
        """Whether a node multiplies with constants: a convolution or a matrix product."""
        return node.op_type in WEIGHTED and any(self.is_constant(name) for name in node.input[:2])

    def array(self, name: str) -> NDArray[Any]:
        """The values of an initialiser."""
        import onnx

        array: NDArray[Any] = np.asarray(onnx.numpy_helper.to_array(self.weights[name]))
        return array

    def upstream(self, starts: list[str], stop: Visit) -> Iterator[Node]:
        """Yield the nodes before tensors, each once; not through nodes where `stop` says so.

        Args:
            starts: Names of tensors.
            stop: Says of a node whether the walk ends there; the node itself is yielded.
        """
        seen: set[int] = set()
        waiting = list(starts)
        while waiting:
            node = self.maker.get(waiting.pop())
            if node is None or id(node) in seen:
                continue
            seen.add(id(node))
            yield node
            if not stop(node):
                waiting.extend(name for name in node.input if name)

    def stems(self) -> list[Node]:
        """The products that read the picture: no other product with a weight is before them."""
        found = []
        for node in self.nodes:
            if not self.has_weight(node):
                continue
            before = self.upstream(self.activations(node), self.has_weight)
            if not any(self.has_weight(each) for each in before):
                found.append(node)
        return found

    def drop_unread_weights(self) -> None:
        """Drop initialisers that nobody reads; the edges are found again by `refresh`."""
        graph = self.model.graph
        read = {name for node in graph.node for name in node.input}
        read |= {item.name for item in graph.output}
        kept = [weight for weight in graph.initializer if weight.name in read]
        del graph.initializer[:]
        graph.initializer.extend(kept)

    def save(self, path: Path, *, data: str) -> None:
        """Write the model; tensors of more than a kilobyte go to the file `data` beside it."""
        import onnx

        # Not by `save_as_external_data`: that looks for `data` in the current folder first.
        for weight in self.model.graph.initializer:
            if len(weight.raw_data) >= _SMALL:
                onnx.external_data_helper.set_external_data(weight, data)
        onnx.save_model(self.model, str(path))

    def _infer(self) -> None:
        """Fill `types` and `shapes`; weights are left out, models may be larger than 2 GiB."""
        import onnx

        light = _without_weights(self.model)
        try:
            light = onnx.shape_inference.infer_shapes(light, data_prop=True)
        except Exception as err:
            message = f"The types in the graph cannot be found: {_first_line(err)}"
            raise ArtifactError(message, hint="Export the bundle again.") from err
        graph = light.graph
        for item in (*graph.input, *graph.value_info, *graph.output):
            tensor = item.type.tensor_type
            self.types[item.name] = tensor.elem_type
            if tensor.HasField("shape"):
                self.shapes[item.name] = tuple(_side(side) for side in tensor.shape.dim)
        for weight in self.model.graph.initializer:
            self.types[weight.name] = weight.data_type
            self.shapes[weight.name] = tuple(weight.dims)


def module_of(node: Node) -> str:
    """The torch module that a node comes from: "layers.0.cnext.pwconv1"."""
    return str(node.name).rpartition("/")[0]


def _side(side: Any) -> int | None:  # noqa: ANN401 (a class of onnx)
    return int(side.dim_value) if side.HasField("dim_value") else None


def _lift_constants(model: Any) -> None:  # noqa: ANN401
    import onnx

    for node in list(model.graph.node):
        if any(a.type in (a.GRAPH, a.GRAPHS) for a in node.attribute):
            message = f"Node '{node.name}' is a {node.op_type}, which has a graph of its own."
            raise ArtifactError(message, hint="edge-ovss export writes none; export it again.")
        if node.op_type != "Constant":
            continue
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if value is not None:
            weight = onnx.TensorProto()
            weight.CopyFrom(value)
            weight.name = node.output[0]
            model.graph.initializer.append(weight)
            model.graph.node.remove(node)


def _sort_nodes(model: Any) -> None:  # noqa: ANN401
    """Put every node behind what it reads; the quantiser appends its nodes at the end."""
    graph = model.graph
    maker = {name: place for place, node in enumerate(graph.node) for name in node.output}
    order: list[int] = []
    state = [0] * len(graph.node)  # 0 not seen, 1 waiting for its inputs, 2 done
    for root in range(len(graph.node)):
        stack = [root]
        while stack:
            place = stack[-1]
            needed = [maker[name] for name in graph.node[place].input if name in maker]
            open_ones = [each for each in needed if state[each] == 0]
            if state[place] == 0 and open_ones:
                state[place] = 1
                stack.extend(reversed(open_ones))
                continue
            stack.pop()
            if state[place] != 2:
                state[place] = 2
                order.append(place)
    nodes = [graph.node[place] for place in order]
    del graph.node[:]
    graph.node.extend(nodes)


def _without_weights(model: Any) -> Any:  # noqa: ANN401
    """Return a copy whose large initialisers are inputs: small ones are shapes and are needed."""
    import onnx

    light = onnx.ModelProto()
    light.ir_version = model.ir_version
    light.opset_import.extend(model.opset_import)
    light.graph.name = model.graph.name
    light.graph.node.extend(model.graph.node)
    light.graph.input.extend(model.graph.input)
    light.graph.output.extend(model.graph.output)
    light.graph.value_info.extend(model.graph.value_info)
    for weight in model.graph.initializer:
        if int(np.prod(weight.dims)) <= _SMALL:
            light.graph.initializer.append(weight)
        else:
            kind = onnx.helper.make_tensor_value_info
            light.graph.input.append(kind(weight.name, weight.data_type, weight.dims))
    return light


def _first_line(err: Exception) -> str:
    lines = str(err).strip().splitlines() or [type(err).__name__]
    return lines[0][:300]
