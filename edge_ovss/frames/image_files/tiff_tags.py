"""Read the tags of a TIFF file, or of EXIF data (a small TIFF), without decoding an image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

WIDTH, HEIGHT, BITS, ORIENTATION, SUBFILE = 256, 257, 258, 274, 254

Tags = Mapping[int, int]

_MOST_PAGES = 65_536
_MOST_TAGS = 4_096
# Size in bytes by TIFF type; other types are not needed.
_SIZES = {1: 1, 3: 2, 4: 4, 13: 4, 16: 8, 18: 8}


@dataclass(frozen=True)
class _Layout:
    """How numbers and entries are stored: classic TIFF, or BigTIFF."""

    order: str
    offset: int
    count: int
    entry: int

    def number(self, data: bytes, at: int, size: int) -> int | None:
        piece = data[at : at + size]
        if at < 0 or len(piece) < size:
            return None
        return int.from_bytes(piece, "little" if self.order == "<" else "big")


def tiff_pages(data: bytes) -> Iterator[Tags]:
    """Yield the tags of each page, by number; of several values only the first.

    Stop at a page that is damaged or was already visited.
    """
    layout = _layout(data)
    if layout is None:
        return
    seen: set[int] = set()
    at = layout.number(data, layout.offset, layout.offset)
    while at and at not in seen and len(seen) < _MOST_PAGES:
        seen.add(at)
        count = layout.number(data, at, layout.count)
        if count is None or count > _MOST_TAGS:
            return
        first = at + layout.count
        yield dict(_tags(data, layout, first, count))
        at = layout.number(data, first + count * layout.entry, layout.offset)


def _layout(data: bytes) -> _Layout | None:
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return None
    magic = data[2:4] if order == "<" else data[3:1:-1]
    # The offset of the first page follows the magic number: at 4 of 4 bytes, or at 8 of 8.
    if magic == b"*\0":
        return _Layout(order, 4, 2, 12)
    return _Layout(order, 8, 8, 20) if magic == b"+\0" else None


def _tags(data: bytes, layout: _Layout, first: int, count: int) -> Iterator[tuple[int, int]]:
    for at in range(first, first + count * layout.entry, layout.entry):
        tag = layout.number(data, at, 2)
        size = _SIZES.get(layout.number(data, at + 2, 2) or 0)
        values = layout.number(data, at + 4, layout.offset)
        if tag is None or size is None or not values:
            continue
        place: int | None = at + 4 + layout.offset
        if size * values > layout.offset:
            place = layout.number(data, place or 0, layout.offset)
        value = None if place is None else layout.number(data, place, size)
        if value is not None:
            yield tag, value
