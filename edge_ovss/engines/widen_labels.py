"""Convert 16-bit labels to 32-bit ones, because TensorRT has no uint16.

Above 255 categories the graph ends in a Cast to uint16. In a copy of the file's bytes, that Cast
and the output's type become int32; the runtime casts back. Both numbers take one byte in the file,
so it can be edited in place without the onnx package. Field numbers are those of onnx.proto3
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_ovss.bundle.onnx_reader.wire import read_varint
from edge_ovss.errors import ArtifactError

UINT16, INT32 = 4, 6

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GRAPH, _NODE, _OUTPUT, _VALUE_INFO = 7, 1, 12, 13

Field = tuple[int, int, int, int]


def widen_labels(model: bytes) -> tuple[bytes, int]:
    """Return an ONNX file's bytes with int32 for uint16, and the number of changes.

    Raises:
        ArtifactError: The bytes are not an ONNX file.
    """
    data = bytearray(model)
    try:
        places = [at for _, start, end in _messages(data, 0, len(data), _GRAPH)
                  for at in _uint16_places(data, start, end)]  # fmt: skip
    except (IndexError, ValueError) as err:
        message = f"The graph is not an ONNX file, or only a part of one: {err}."
        raise ArtifactError(message, hint="Copy or export the bundle again.") from err
    for at in places:
        data[at] = INT32
    return bytes(data), len(places)


def _uint16_places(data: bytearray, start: int, end: int) -> Iterator[int]:
    """Yield the places of uint16 in a graph: the `to` of a Cast, and the type of a value."""
    for number, first, last in _messages(data, start, end, _NODE, _OUTPUT, _VALUE_INFO):
        if number == _NODE:
            yield from _cast_target(data, first, last)
        else:
            yield from _element_type(data, first, last)


def _cast_target(data: bytearray, start: int, end: int) -> Iterator[int]:
    fields = list(_fields(data, start, end))
    if not any(number == 4 and data[a:b] == b"Cast" for number, _, a, b in fields):
        return
    for number, _, first, last in fields:
        if number == 5:
            attribute = list(_fields(data, first, last))
            if any(key == 1 and data[a:b] == b"to" for key, _, a, b in attribute):
                yield from _uint16_at(data, attribute, 3)


def _element_type(data: bytearray, start: int, end: int) -> Iterator[int]:
    for _, first, last in _messages(data, start, end, 2):
        for _, inner, inner_end in _messages(data, first, last, 1):
            yield from _uint16_at(data, list(_fields(data, inner, inner_end)), 1)


def _uint16_at(data: bytearray, fields: list[Field], wanted: int) -> Iterator[int]:
    for number, wire, first, last in fields:
        if number == wanted and wire == _VARINT and last - first == 1 and data[first] == UINT16:
            yield first


def _messages(
    data: bytearray, start: int, end: int, *numbers: int
) -> Iterator[tuple[int, int, int]]:
    for number, wire, first, last in _fields(data, start, end):
        if number in numbers and wire == _BYTES:
            yield number, first, last


def _fields(data: bytearray, start: int, end: int) -> Iterator[Field]:
    """Yield (field number, wire type, first byte, byte after the last) of one message."""
    at = start
    while at < end:
        key, at = read_varint(data, at)
        wire, first = key & 7, at
        if wire == _VARINT:
            _, at = read_varint(data, at)
        elif wire == _BYTES:
            size, first = read_varint(data, at)
            at = first + size
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            message = f"byte {first - 1} does not begin a field"
            raise ValueError(message)
        if at > end:
            message = f"a field at byte {first} does not fit"
            raise ValueError(message)
        yield key >> 3, wire, first, at
