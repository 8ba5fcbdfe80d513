"""What an ONNX file says about itself, read without the onnx package.

Only the fields that are needed are followed, in one walk through the file. Field numbers are those
of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
"""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_ovss.bundle.onnx_reader.nodes import DTYPES, GraphNodes, NodeReader
from edge_ovss.bundle.onnx_reader.wire import (
    Piece,
    message_fields,
    message_of,
    signed,
    text_of,
    text_pair,
)
from edge_ovss.errors import ArtifactError

MOST_NODES = 20_000
"""Of a bundle's graph, and as many tensors; the largest of ours has 6,113 and 2,758."""


@dataclass(frozen=True)
class TensorInfo:
    """An input or output; a size that is free is its name, or "?"."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class GraphFile:
    """What an ONNX file says about itself.

    Attributes:
        opset: Version of the default operator set; 0 if it is not stated.
        producer: Name and version of the program that wrote it.
        metadata: `metadata_props`.
        inputs: Inputs that are not weights.
        outputs: Outputs.
        operators: Number of nodes by operator, "domain::Name" outside the default domain; the
            bodies of loops, branches and functions are counted too.
        external_data: Files that hold tensors, as they are written in the file.
    """

    opset: int
    producer: str
    metadata: Mapping[str, str]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    operators: Mapping[str, int]
    external_data: tuple[str, ...]


def read_graph_file(path: Path, *, most: int = MOST_NODES) -> GraphFile:
    """Read what an ONNX file says about itself.

    Args:
        path: The file.
        most: Nodes that it may have, and tensors.

    Raises:
        ArtifactError: It cannot be read, has too many parts, or is no ONNX file or a truncated one.
    """
    return read_graph(path, most=most)[0]


def read_graph(path: Path, *, most: int = MOST_NODES) -> tuple[GraphFile, GraphNodes]:
    """Read what an ONNX file says about itself, and the nodes and constants of its graph.

    Args:
        path: The file.
        most: Nodes that it may have, and tensors.

    Raises:
        ArtifactError: As `read_graph_file`.
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _model(memoryview(data), NodeReader(most))
    except OSError as err:
        message = f"'{path}' cannot be read: {err.strerror or err}."
        raise ArtifactError(message, hint="Check the path and its permissions.") from err
    except (ValueError, IndexError) as err:
        message = f"'{path.name}' is not an ONNX file, or only a part of one: {err}."
        raise ArtifactError(message, hint="Copy or export it again.") from err


def _model(data: Piece, reader: NodeReader) -> tuple[GraphFile, GraphNodes]:
    metadata, opset, producer = {}, 0, ["", ""]
    nodes, functions, foreign = None, [], []
    for number, value in message_fields(data):
        if number in (2, 3):
            producer[number - 2] = text_of(value)
        elif number == 7:
            _refuse_second(nodes is not None, "graph")
            nodes = reader.graph(message_of(value))
        elif number == 8:
            opset = _opset(message_of(value)) or opset
        elif number == 14:
            key, text = text_pair(message_of(value))
            _refuse_second(key in metadata, f"value of '{key}' in its metadata")
            metadata[key] = text
        elif number == 20:
            foreign.append("training")
        elif number == 25:
            foreign.append("function")
            functions.append(reader.function(message_of(value)))
    if nodes is None:
        message = "it holds no graph"
        raise ValueError(message)
    nodes.foreign += foreign
    every = [each for part in (nodes, *functions) for each in _with_bodies(part)]
    inputs, outputs = _inputs(nodes), tuple(map(_tensor_info, nodes.outputs))
    name = " ".join(producer).strip()
    operators, elsewhere = _operators(every), _elsewhere(every)
    return GraphFile(opset, name, metadata, inputs, outputs, operators, elsewhere), nodes


def _with_bodies(graph: GraphNodes) -> Iterator[GraphNodes]:
    yield graph
    for body in graph.bodies:
        yield from _with_bodies(body)


def _operators(graphs: Sequence[GraphNodes]) -> dict[str, int]:
    """Return how many nodes there are of every operator, the most frequent first."""
    return dict(Counter(node.operator for graph in graphs for node in graph.nodes).most_common())


def _elsewhere(graphs: Sequence[GraphNodes]) -> tuple[str, ...]:
    """Return the files that hold tensors, in the order in which they are first named."""
    values = [node.constant for graph in graphs for node in graph.nodes]
    stored = [each for graph in graphs for each in (*graph.constants.values(), *graph.others)]
    places = [each.place for each in (*values, *stored) if each is not None]
    return tuple(dict.fromkeys(place.location for place in places if place is not None))


def _refuse_second(present: bool, what: str) -> None:
    """Other readers join the two or take either: what is checked might not be what runs."""
    if present:
        message = f"it holds a second {what}"
        raise ValueError(message)


def _opset(data: Piece) -> int:
    """Return the version of an operator set if it is the default one, else 0."""
    domain, version = "", 0
    for number, value in message_fields(data):
        if number == 1:
            domain = text_of(value)
        elif number == 2 and isinstance(value, int):
            version = value
    return version if domain in ("", "ai.onnx") else 0


def _inputs(graph: GraphNodes) -> tuple[TensorInfo, ...]:
    """Return the inputs that are not weights."""
    inputs = map(_tensor_info, graph.inputs)
    return tuple(each for each in inputs if each.name not in graph.constants)


def _tensor_info(data: Piece) -> TensorInfo:
    name, dtype = "", "?"
    shape: tuple[int | str, ...] = ()
    for number, value in message_fields(data):
        if number == 1:
            name = text_of(value)
        elif number == 2:
            for kind, tensor in message_fields(message_of(value)):
                if kind == 1:
                    dtype, shape = _tensor_type(message_of(tensor))
    return TensorInfo(name, dtype, shape)


def _tensor_type(data: Piece) -> tuple[str, tuple[int | str, ...]]:
    dtype = "?"
    shape: list[int | str] = []
    for number, value in message_fields(data):
        if number == 1 and isinstance(value, int):
            dtype = DTYPES.get(value, f"type {value}")
        elif number == 2:
            shape = [
                _size(message_of(size))
                for key, size in message_fields(message_of(value))
                if key == 1
            ]
    return dtype, tuple(shape)


def _size(data: Piece) -> int | str:
    for number, value in message_fields(data):
        if number == 1 and isinstance(value, int):
            return signed(value)
        if number == 2:
            return text_of(value) or "?"
    return "?"
