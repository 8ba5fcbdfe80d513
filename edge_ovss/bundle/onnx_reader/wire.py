"""The fields of a protobuf message, read from bytes that nobody has checked.

The encoding: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_LONG = 0x80  # a byte from which on a number has another one

Piece = memoryview


def message_fields(data: Piece) -> Iterator[tuple[int, int | Piece]]:
    """Yield (field number, value) of one message; a value is an int or the bytes of the field."""
    for number, wire, first, end in field_spans(data):
        if wire != VARINT:
            yield number, data[first:end]
        else:
            yield number, data[first] if end - first == 1 else read_varint(data, first)[0]


def field_spans(data: Piece) -> Iterator[tuple[int, int, int, int]]:
    """Yield (field number, wire type, first byte, byte after the last) of one message."""
    at, end = 0, len(data)
    while at < end:
        # Nearly all of these numbers have one byte, and a graph has 100,000 fields: no calls.
        key, first = data[at], at + 1
        if key >= _LONG:
            key, first = read_varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            at = first + 1 if data[first] < _LONG else read_varint(data, first)[1]
        else:
            size = _SIZES.get(wire)
            if wire == _BYTES:
                size, first = _size(data, first)
            if size is None or first + size > end:
                message = f"field {number} at byte {first} does not fit"
                raise ValueError(message)
            at = first + size
        yield number, wire, first, at


def _size(data: Piece, at: int) -> tuple[int, int]:
    size = data[at]
    return (size, at + 1) if size < _LONG else read_varint(data, at)


def read_varint(data: Piece, at: int) -> tuple[int, int]:
    """Return the protobuf number that begins at byte `at`, and where the next byte is.

    It has 64 bits, whatever is written.

    Raises:
        ValueError: It has no end.
    """
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
    message = f"a number before byte {at} has no end"
    raise ValueError(message)


def message_of(value: int | Piece) -> Piece:
    """Return the bytes of a field.

    Raises:
        ValueError: It is a number.
    """
    if isinstance(value, int):
        message = "a number stands where a message is expected"
        raise ValueError(message)  # noqa: TRY004 (format)
    return value


def text_of(value: int | Piece) -> str:
    """Return a field as text.

    Raises:
        ValueError: It is a number, or not UTF-8.
    """
    return str(message_of(value), "utf-8")


def text_pair(data: Piece) -> tuple[str, str]:
    """Return key and value of a StringStringEntryProto."""
    parts = {number: text_of(value) for number, value in message_fields(data) if number in (1, 2)}
    return parts.get(1, ""), parts.get(2, "")


def signed(value: int) -> int:
    """Return an int32 or int64 as it is meant: they are written as uint64."""
    return value - 2**64 if value >= 2**63 else value


def packed_numbers(value: int | Piece) -> Iterator[int]:
    """Yield the numbers of a repeated field, of which this is one value or many."""
    if isinstance(value, int):
        yield signed(value)
        return
    at = 0
    while at < len(value):
        number, at = read_varint(value, at)
        yield signed(number)
