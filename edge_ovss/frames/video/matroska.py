"""The structure of a Matroska or WebM file: its stated length, and where its blocks end."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

MAGIC = b"\x1a\x45\xdf\xa3"
_SEGMENT, _CLUSTER, _GROUP, _INFO = 0x18538067, 0x1F43B675, 0xA0, 0x1549A966
_SCALE, _TIME, _SIMPLE_BLOCK, _BLOCK = 0x2AD7B1, 0xE7, 0xA3, 0xA1
_ENTERED = frozenset({_SEGMENT, _CLUSTER, _GROUP, _INFO})
_LONGEST = 12  # bytes of an identifier and a size
# A film has fewer; a file full of empty elements would take minutes.
_MOST_ELEMENTS = 500_000


@dataclass(frozen=True)
class Structure:
    """The result of a walk over all elements.

    Attributes:
        cut: Whether the last element extends past the end of the file.
        damaged: Whether there are bytes that do not begin an element.
        last_s: The latest time of a block of any track, in seconds; 0 without blocks.
    """

    cut: bool
    damaged: bool
    last_s: float


class _Element(NamedTuple):
    kind: int
    data: int
    size: int | None


def stated_end(file: BinaryIO) -> int:
    """Return the stated end of the segment; 0 where none is stated, as in a stream."""
    header = _element(file, 0)
    if header is None or header.size is None:
        return 0
    segment = _element(file, header.data + header.size)
    if segment is None or segment.kind != _SEGMENT or segment.size is None:
        return 0
    return segment.data + segment.size


def structure(file: BinaryIO, there: int) -> Structure:
    """Walk over every element of a file of `there` bytes, without reading payloads.

    After the first half million elements only the time is reported.
    """
    scale, cluster, last = 1e-3, 0, 0.0
    end = min(there, stated_end(file) or there)
    at = walked = 0
    for element in _elements(file, end):
        walked += 1
        at = element.data + (0 if _entered(element) else element.size or 0)
        if element.kind == _SCALE:
            scale = _number(file, element) / 1e9
        elif element.kind == _TIME:
            cluster = _number(file, element)
        elif element.kind in (_SIMPLE_BLOCK, _BLOCK):
            last = max(last, (cluster + _offset(file, element)) * scale)
    if walked == _MOST_ELEMENTS:
        return Structure(cut=False, damaged=False, last_s=last)
    tail = _read(file, at, _LONGEST)
    # A partial identifier at the very end is a cut; anything else there is damage.
    broken = at < end
    partial = broken and end - at < _LONGEST and tail[:1] != b"\0"
    return Structure(at > end or partial, broken and not partial, last)


def _entered(element: _Element) -> bool:
    return element.kind in _ENTERED


def _elements(file: BinaryIO, end: int) -> Iterator[_Element]:
    """Yield elements in order, nested ones included, up to the first invalid one."""
    at = 0
    for _ in range(_MOST_ELEMENTS):
        element = _element(file, at) if at < end else None
        if element is None or (element.size is None and not _entered(element)):
            return
        yield element
        at = element.data + (0 if _entered(element) else element.size or 0)


def _element(file: BinaryIO, at: int) -> _Element | None:
    head = _read(file, at, _LONGEST)
    wide = _width(head[:1])
    if not 1 <= wide <= 4 or len(head) <= wide:
        return None
    size_wide = _width(head[wide : wide + 1])
    if not size_wide or len(head) < wide + size_wide:
        return None
    bits = 7 * size_wide
    size = int.from_bytes(head[wide : wide + size_wide], "big") & ((1 << bits) - 1)
    unknown = size == (1 << bits) - 1
    kind = int.from_bytes(head[:wide], "big")
    return _Element(kind, at + wide + size_wide, None if unknown else size)


def _width(byte: bytes) -> int:
    """Return the byte length of a variable-length number by its first byte; 0 for none."""
    return 9 - byte[0].bit_length() if byte and byte[0] else 0


def _number(file: BinaryIO, element: _Element) -> int:
    return int.from_bytes(_read(file, element.data, min(element.size or 0, 8)), "big")


def _offset(file: BinaryIO, element: _Element) -> int:
    """Return the time of a block within its cluster."""
    head = _read(file, element.data, _LONGEST)
    wide = _width(head[:1])
    time = head[wide : wide + 2]
    return int(struct.unpack(">h", time)[0]) if len(time) == 2 else 0


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
