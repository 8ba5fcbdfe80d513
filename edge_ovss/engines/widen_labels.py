"""Labels of 32 bits instead of 16: TensorRT has no uint16.

Above 255 outputs the graph ends in a Cast to uint16. In a copy of the file's bytes that Cast and
the type of the output become int32; the runtime casts back. Both numbers are one byte long in the
file, so this is an edit in place and needs no onnx package. Field numbers are those of
onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_ovss.bundle.onnx_reader.wire import (
    VARINT,
    Piece,
    field_spans,
    message_fields,
    message_of,
)
from edge_ovss.errors import ArtifactError

UINT16, INT32 = 4, 6

_GRAPH, _NODE, _OUTPUT, _VALUE_INFO = 7, 1, 12, 13
_OPERATOR, _ATTRIBUTE = 4, 5


def widen_labels(model: bytes) -> tuple[bytes, int]:
    """Return an ONNX file's bytes with int32 for uint16, and how many places were changed.

    Raises:
        ArtifactError: The bytes are not an ONNX file.
    """
    data = bytearray(model)
    try:
        types = [each for graph in _parts(memoryview(data), _GRAPH) for each in _types(graph)]
    except (IndexError, ValueError) as err:
        message = f"The graph is not an ONNX file, or only a part of one: {err}."
        raise ArtifactError(message, hint="Copy or export the bundle again.") from err
    for each in types:
        each[0] = INT32
    return bytes(data), len(types)


def _types(graph: Piece) -> Iterator[Piece]:
    """Yield the bytes that say uint16: in the `to` of a Cast, and in the type of a value."""
    for node in _parts(graph, _NODE):
        if any(bytes(operator) == b"Cast" for operator in _parts(node, _OPERATOR)):
            for attribute in _parts(node, _ATTRIBUTE):
                if any(bytes(name) == b"to" for name in _parts(attribute, 1)):
                    yield from _uint16(attribute, 3)
    for value in _parts(graph, _OUTPUT, _VALUE_INFO):
        for kind in _parts(value, 2):
            for tensor in _parts(kind, 1):
                yield from _uint16(tensor, 1)


def _parts(message: Piece, *numbers: int) -> Iterator[Piece]:
    """Yield the fields with these numbers; writing to them changes the file's bytes."""
    for number, value in message_fields(message):
        if number in numbers:
            yield message_of(value)


def _uint16(message: Piece, wanted: int) -> Iterator[Piece]:
    for number, wire, first, end in field_spans(message):
        if number == wanted and wire == VARINT and bytes(message[first:end]) == bytes([UINT16]):
            yield message[first:end]
