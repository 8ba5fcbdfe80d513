"""The nodes and constants of an ONNX file, as far as checking them before they run needs.

Weights are stepped over, never copied.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_ovss.bundle.onnx_reader.wire import (
    Piece,
    message_fields,
    message_of,
    packed_numbers,
    text_of,
    text_pair,
)

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
"""Element types by their numbers in onnx.proto3."""

MOST_VALUES = 64
"""Of a tensor whose values are read: shapes, not weights."""

_FOREIGN_PARTS = {
    6: "graph in a node",
    10: "list of tensors",
    11: "graph in a node",
    22: "sparse tensor",
    23: "sparse tensor",
}
_TYPED_DATA = (4, 5, 6, 7, 10, 11)  # floats, int32, texts, int64, doubles, uint64
_MOST_AXES = 16
_DEEPEST = 32
_ITEM_BYTES = {
    "float32": 4,
    "uint8": 1,
    "int8": 1,
    "uint16": 2,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "bool": 1,
    "float16": 2,
    "float64": 8,
    "uint32": 4,
    "uint64": 8,
    "bfloat16": 2,
}
_UNPACK = {"int32": "<{}i", "int64": "<{}q", "float32": "<{}f"}


@dataclass(frozen=True)
class TensorPlace:
    """Where a tensor stands outside of the ONNX file; `length` is None where it is not said."""

    location: str
    offset: int
    length: int | None


@dataclass(frozen=True)
class Constant:
    """A tensor that the ONNX file holds or names.

    Attributes:
        name: Of the tensor.
        dtype: Such as "float32"; "type N" for one that is not known here.
        shape: Sizes.
        stored: Bytes of its values in the ONNX file.
        raw: Whether those are the values as they are in memory.
        place: Where its values are, if they are in another file.
        values: Its values, if they are few and numbers of 32 or 64 bits.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    stored: int
    raw: bool
    place: TensorPlace | None
    values: tuple[float, ...] | None

    @property
    def elements(self) -> int:
        """The product of the shape."""
        return math.prod(self.shape)

    @property
    def item_bytes(self) -> int | None:
        """Bytes of one element; None for a type that is not known here."""
        return _ITEM_BYTES.get(self.dtype)


@dataclass(frozen=True)
class Node:
    """One node.

    Attributes:
        operator: Its name, "domain::Name" outside of the default domain.
        inputs: Names; "" for one that is left out.
        outputs: Names.
        numbers: Integer attributes, one value or many.
        constant: The value of a node `Constant`.
        parts: Attributes that no graph of ours has, such as "graph in a node".
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: Mapping[str, tuple[int, ...]]
    constant: Constant | None
    parts: tuple[str, ...]


@dataclass
class GraphNodes:
    """What a graph or a function is made of.

    Attributes:
        nodes: In the order of the file.
        constants: Initializers by name.
        others: Tensors that are neither an initializer nor the value of a node: those of lists and
            sparse ones.
        inputs: ValueInfoProtos of the inputs, as they stand in the file.
        outputs: Those of the outputs.
        bodies: Graphs in nodes.
        foreign: Parts of the graph that no graph of ours has.
    """

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Constant] = field(default_factory=dict)
    others: list[Constant] = field(default_factory=list)
    inputs: list[Piece] = field(default_factory=list)
    outputs: list[Piece] = field(default_factory=list)
    bodies: list[GraphNodes] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


class NodeReader:
    """Reads the graphs and functions of one model, within one limit.

    Args:
        most: Nodes that may be read in all, and tensors.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._read = {"nodes": 0, "tensors": 0}

    def graph(self, data: Piece, *, depth: int = 0) -> GraphNodes:
        """Read a GraphProto, and the graphs in its nodes.

        Raises:
            ValueError: It is no GraphProto, or holds too much, too deep or a tensor twice.
        """
        if depth > _DEEPEST:
            message = f"graphs are nested more than {_DEEPEST} deep"
            raise ValueError(message)
        found = GraphNodes()
        for number, value in message_fields(data):
            if number == 1:
                found.nodes.append(self._node(message_of(value), found, depth))
            elif number == 5:
                self._keep(self._tensor(message_of(value)), found)
            elif number == 11:
                found.inputs.append(message_of(value))
            elif number == 12:
                found.outputs.append(message_of(value))
            elif number == 15:
                found.foreign.append("sparse tensor")
                found.others += self._sparse(message_of(value))
        return found

    def function(self, data: Piece) -> GraphNodes:
        """Read a FunctionProto.

        Raises:
            ValueError: As `graph`.
        """
        found = GraphNodes()
        for number, value in message_fields(data):
            if number == 7:
                found.nodes.append(self._node(message_of(value), found, 0))
        return found

    def _keep(self, tensor: Constant, found: GraphNodes) -> None:
        if tensor.name in found.constants:
            message = f"it holds the tensor '{tensor.name}' twice"
            raise ValueError(message)
        found.constants[tensor.name] = tensor

    def _count(self, what: str) -> None:
        self._read[what] += 1
        if self._read[what] > self._most:
            message = f"it has more than {self._most} {what}"
            raise ValueError(message)

    def _node(self, data: Piece, found: GraphNodes, depth: int) -> Node:
        self._count("nodes")
        texts: dict[int, list[str]] = {1: [], 2: [], 4: [], 7: []}
        numbers: dict[str, tuple[int, ...]] = {}
        constant, parts = None, []
        for number, value in message_fields(data):
            if number in texts:
                texts[number].append(text_of(value))
            elif number == 5:
                given = _Attribute()
                for key, part in message_fields(message_of(value)):
                    self._take(given, key, part, found, depth)
                numbers[given.name] = tuple(given.numbers)
                constant = given.tensor or constant
                parts += given.parts
        name, domain = "".join(texts[4]), "".join(texts[7])
        operator = name if domain in ("", "ai.onnx") else f"{domain}::{name}"
        return Node(operator, tuple(texts[1]), tuple(texts[2]), numbers, constant, tuple(parts))

    def _take(
        self, given: _Attribute, number: int, value: int | Piece, found: GraphNodes, depth: int
    ) -> None:
        """Take in one field of an attribute; what else it holds goes to `found`."""
        if number == 1:
            given.name = text_of(value)
        elif number in (3, 8):
            given.numbers += packed_numbers(value)
        elif number == 5:
            given.tensor = self._tensor(message_of(value))
        elif number in _FOREIGN_PARTS:
            given.parts.append(_FOREIGN_PARTS[number])
            if number == 10:
                found.others.append(self._tensor(message_of(value)))
            elif number in (6, 11):
                found.bodies.append(self.graph(message_of(value), depth=depth + 1))
            else:
                found.others += self._sparse(message_of(value))

    def _sparse(self, data: Piece) -> list[Constant]:
        """Return the values and the places of a SparseTensorProto."""
        fields = message_fields(data)
        return [self._tensor(message_of(value)) for number, value in fields if number in (1, 2)]

    def _tensor(self, data: Piece) -> Constant:
        self._count("tensors")
        found = _Tensor()
        for number, value in message_fields(data):
            found.take(number, value)
        return found.constant()


@dataclass
class _Attribute:
    """An AttributeProto as far as it has been read."""

    name: str = ""
    numbers: list[int] = field(default_factory=list)
    tensor: Constant | None = None
    parts: list[str] = field(default_factory=list)


@dataclass
class _Tensor:
    """A TensorProto as far as it has been read."""

    name: str = ""
    dtype: int = 0
    shape: list[int] = field(default_factory=list)
    raw: Piece | None = None
    pieces: list[tuple[int, int | Piece]] = field(default_factory=list)
    outside: dict[str, str] = field(default_factory=dict)

    def take(self, number: int, value: int | Piece) -> None:
        """Take in one field."""
        if number == 1:
            self.shape += packed_numbers(value)
        elif number == 2 and isinstance(value, int):
            self.dtype = value
        elif number == 8:
            self.name = text_of(value)
        elif number == 9:
            self.raw = message_of(value)
        elif number in _TYPED_DATA:
            self.pieces.append((number, value))
        elif number == 13:
            key, text = text_pair(message_of(value))
            self.outside[key] = text

    @property
    def stored(self) -> int:
        """Bytes of its values in the file."""
        typed = sum(1 if isinstance(value, int) else len(value) for _, value in self.pieces)
        return typed + (0 if self.raw is None else len(self.raw))

    def constant(self) -> Constant:
        """Return what was read."""
        shape = tuple(self.shape)
        if len(shape) > _MOST_AXES or any(size < 0 for size in shape):
            message = f"the tensor '{self.name}' has the shape {list(shape[: _MOST_AXES + 1])}"
            raise ValueError(message)
        kind = DTYPES.get(self.dtype, f"type {self.dtype}")
        few = math.prod(shape) <= MOST_VALUES and self.stored <= MOST_VALUES * 10
        values = _values(kind, self.raw, self.pieces) if few and not self.outside else None
        place = _place(self.name, self.outside) if self.outside else None
        raw = self.raw is not None
        return Constant(self.name, kind, shape, self.stored, raw, place, values)


def _place(name: str, pairs: Mapping[str, str]) -> TensorPlace:
    offset, length = (pairs.get(key, "") for key in ("offset", "length"))
    if any(text and not (text.isdecimal() and text.isascii()) for text in (offset, length)):
        message = f"the tensor '{name}' stands at '{offset}' with the length '{length}'"
        raise ValueError(message)
    if max(len(offset), len(length)) > 18:
        message = f"the tensor '{name}' stands beyond every file"
        raise ValueError(message)
    return TensorPlace(pairs.get("location", ""), int(offset or 0), int(length) if length else None)


def _values(
    kind: str, raw: Piece | None, pieces: list[tuple[int, int | Piece]]
) -> tuple[float, ...] | None:
    if kind not in _UNPACK:
        return None
    if raw is not None:
        size = len(raw) // _ITEM_BYTES[kind]
        return struct.unpack(_UNPACK[kind].format(size), raw[: size * _ITEM_BYTES[kind]])
    if kind == "float32":
        floats = [value for number, value in pieces if number == 4 and not isinstance(value, int)]
        data = b"".join(floats)
        return struct.unpack(f"<{len(data) // 4}f", data[: len(data) // 4 * 4])
    return tuple(
        item for number, value in pieces if number in (5, 7) for item in packed_numbers(value)
    )
