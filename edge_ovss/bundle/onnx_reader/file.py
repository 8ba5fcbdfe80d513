"""What an ONNX file says about itself, read without the onnx package.

Only the fields that are needed here are followed; weights are stepped over, never copied. Field
numbers are those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
"""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edge_ovss.bundle.onnx_reader.wire import (
    Piece,
    message_fields,
    message_of,
    signed,
    text_of,
    text_pair,
)
from edge_ovss.errors import ArtifactError

_DEEPEST = 32

DTYPES: Mapping[int, str] = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    16: "bfloat16",
}


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


@dataclass
class _Found:
    """What the walk has collected so far."""

    operators: Counter[str] = field(default_factory=Counter)
    external: dict[str, None] = field(default_factory=dict)
    weights: set[str] = field(default_factory=set)


def read_graph_file(path: Path) -> GraphFile:
    """Read an ONNX file.

    Raises:
        ArtifactError: It cannot be read, or is no ONNX file or a truncated one.
    """
    with open_graph(path) as data:
        return _model(data)


@contextmanager
def open_graph(path: Path) -> Iterator[Piece]:
    """Give the bytes of an ONNX file, and say so where reading them ends in a ValueError.

    Raises:
        ArtifactError: It cannot be read, or is no ONNX file or a truncated one.
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        yield memoryview(data)
    except OSError as err:
        message = f"'{path}' cannot be read: {err.strerror or err}."
        raise ArtifactError(message, hint="Check the path and its permissions.") from err
    except (ValueError, IndexError) as err:
        message = f"'{path.name}' is not an ONNX file, or only a part of one: {err}."
        raise ArtifactError(message, hint="Copy or export it again.") from err


def _model(data: Piece) -> GraphFile:
    found = _Found()
    metadata, opset, producer, graph = {}, 0, ["", ""], None
    for number, value in message_fields(data):
        if number in (2, 3):
            producer[number - 2] = text_of(value)
        elif number == 7:
            _refuse_second(graph is not None, "graph")
            graph = message_of(value)
            _walk_graph(graph, found, 0)
        elif number == 8:
            opset = _opset(message_of(value)) or opset
        elif number == 14:
            key, text = text_pair(message_of(value))
            _refuse_second(key in metadata, f"value of '{key}' in its metadata")
            metadata[key] = text
        elif number == 25:
            _walk_function(message_of(value), found)
    if graph is None:
        message = "it holds no graph"
        raise ValueError(message)
    inputs, outputs = _ends(graph, found.weights)
    operators = dict(found.operators.most_common())
    name = " ".join(producer).strip()
    return GraphFile(opset, name, metadata, inputs, outputs, operators, tuple(found.external))


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


def _walk_graph(data: Piece, found: _Found, depth: int) -> None:
    if depth > _DEEPEST:
        message = f"graphs are nested more than {_DEEPEST} deep"
        raise ValueError(message)
    for number, value in message_fields(data):
        if number == 1:
            _node(message_of(value), found, depth)
        elif number == 5:
            name = _tensor(message_of(value), found)
            if depth == 0:
                found.weights.add(name)
        elif number == 15:
            _sparse(message_of(value), found)


def _walk_function(data: Piece, found: _Found) -> None:
    for number, value in message_fields(data):
        if number == 7:
            _node(message_of(value), found, 0)


def _node(data: Piece, found: _Found, depth: int) -> None:
    name, domain = "", ""
    for number, value in message_fields(data):
        if number == 4:
            name = text_of(value)
        elif number == 7:
            domain = text_of(value)
        elif number == 5:
            _attribute(message_of(value), found, depth)
    found.operators[name if domain in ("", "ai.onnx") else f"{domain}::{name}"] += 1


def _attribute(data: Piece, found: _Found, depth: int) -> None:
    for number, value in message_fields(data):
        if number in (5, 10):
            _tensor(message_of(value), found)
        elif number in (6, 11):
            _walk_graph(message_of(value), found, depth + 1)
        elif number in (22, 23):
            _sparse(message_of(value), found)


def _sparse(data: Piece, found: _Found) -> None:
    for number, value in message_fields(data):
        if number in (1, 2):
            _tensor(message_of(value), found)


def _tensor(data: Piece, found: _Found) -> str:
    """Take down where a tensor stands, and return its name."""
    name = ""
    for number, value in message_fields(data):
        if number == 8:
            name = text_of(value)
        elif number == 13:
            key, location = text_pair(message_of(value))
            if key == "location":
                found.external[location] = None
    return name


def _ends(
    graph: Piece, weights: Collection[str]
) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """Return the inputs that are not weights, and the outputs."""
    inputs, outputs = [], []
    for number, value in message_fields(graph):
        if number == 11:
            inputs.append(_tensor_info(message_of(value)))
        elif number == 12:
            outputs.append(_tensor_info(message_of(value)))
    return tuple(item for item in inputs if item.name not in weights), tuple(outputs)


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
