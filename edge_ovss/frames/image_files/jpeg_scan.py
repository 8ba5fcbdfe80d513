"""The structure of a JPEG file: its frame, its scans, and what is missing from them.

JPEG has no checksum, and decoders fill missing parts with gray and continue. `jpeg_fault` finds
faults without decoding. To see whether the last scan reaches the last line, decode `jpeg_probe`
as well: other bytes follow its scan, and if the decoder uses them, the scan ended too early.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_START, _END, _SCAN, _TABLES, _INTERVAL = 0xD8, 0xD9, 0xDA, 0xC4, 0xDD
# Start-of-frame markers; 0xC4, 0xC8 and 0xCC in their range mean something else.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
# Ignores fill bytes before a marker, which makes the search ten times as fast.
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_FILLED_RESTART = re.compile(rb"\xff+[\xd0-\xd7]")
# A decoder that still needs data reads these as noise; none is 0xFF, which would be a marker.
_NOISE = bytes((37 * place * place + 11 * place + 91) % 255 for place in range(96))
_HOLE = bytes(64)

TRUNCATED = "it is truncated"
# Damage in the middle of a JPEG looks the same: what is not data may read as the end of a scan.
ENDS_EARLY = "it is truncated or damaged"


@dataclass(frozen=True)
class Component:
    """Sampling factors of a component, across and down."""

    across: int
    down: int


@dataclass(frozen=True)
class Scan:
    """One scan of a JPEG.

    Attributes:
        components: Identifiers of the components that it codes.
        zero_codes: Symbol coded by a run of zero bits, by (0 for DC or 1 for AC, component).
        first, last: The coefficients that it codes, 0 to 63.
        high, low: Bits still missing before and after it (both 0 where not progressive).
        interval: Units between restart markers; 0 for none.
        start, end: Offsets of its coded data in the file.
    """

    components: tuple[int, ...]
    zero_codes: Mapping[tuple[int, int], int]
    first: int
    last: int
    high: int
    low: int
    interval: int
    start: int
    end: int


@dataclass
class Jpeg:
    """The markers of a JPEG file.

    Attributes:
        kind: Marker of the frame, 0xC0 and so on; 0 where there is none.
        height, width: Size in pixels.
        components: Components by identifier.
        scans: Scans in file order.
        ended: Whether the end marker was found.
    """

    kind: int = 0
    height: int = 0
    width: int = 0
    components: dict[int, Component] = field(default_factory=dict)
    scans: list[Scan] = field(default_factory=list)
    ended: bool = False

    @property
    def huffman(self) -> bool:
        """Whether it uses Huffman coding; only such files are examined closely."""
        return self.kind in (*_SEQUENTIAL, _PROGRESSIVE)

    @property
    def at_once(self) -> bool:
        """Whether lines can be decoded before the whole file has been read."""
        return self.kind in _SEQUENTIAL and len(self.scans) == 1

    def blocks(self, component: Component) -> int:
        """Return the number of 8 x 8 blocks in a scan of this component alone."""
        across = max(c.across for c in self.components.values())
        down = max(c.down for c in self.components.values())
        wide = -(-self.width * component.across // across)
        high = -(-self.height * component.down // down)
        return -(-wide // 8) * -(-high // 8)

    def units(self, scan: Scan) -> int:
        """Return the number of units (MCUs) in a scan."""
        parts = [self.components[number] for number in scan.components]
        if len(parts) == 1:
            return self.blocks(parts[0])
        across = max(c.across for c in self.components.values())
        down = max(c.down for c in self.components.values())
        return -(-self.width // (8 * across)) * -(-self.height // (8 * down))


def read_jpeg(data: bytes) -> Jpeg:
    """Read the markers of a JPEG file; stop at damage."""
    found = Jpeg()
    tables: dict[tuple[int, int], int] = {}
    interval = 0
    for marker, start, end in jpeg_segments(data):
        body = data[start:end]
        if marker in _FRAMES and not found.kind and len(body) >= 6:
            _read_frame(found, marker, body)
        elif marker == _TABLES:
            tables.update(_first_codes(body))
        elif marker == _INTERVAL and len(body) >= 2:
            interval = int.from_bytes(body[:2], "big")
        elif marker == _SCAN:
            scan = _read_scan(data, body, end, tables, interval)
            if scan is not None and all(c in found.components for c in scan.components):
                found.scans.append(scan)
        elif marker == _END:
            found.ended = True
    return found


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) for the body of each segment; skip coded data."""
    at = 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        marker = data[at + 1]
        at += 1 if marker == 0xFF else 2
        if marker == 0xFF or marker in _ALONE:
            continue
        if marker == _END:
            yield marker, at, at
            return
        end = at + max(2, int.from_bytes(data[at : at + 2], "big"))
        if end > len(data):
            return
        yield marker, at + 2, end
        at = _end_of_scan(data, end) if marker == _SCAN else end


def jpeg_fault(data: bytes, jpeg: Jpeg) -> str | None:
    """Return the fault that the structure of a JPEG file shows, or None.

    Args:
        data: The whole file.
        jpeg: The result of `read_jpeg`.
    """
    if not jpeg.scans or not jpeg.height or not jpeg.width:
        return ENDS_EARLY
    if not jpeg.huffman:
        return None
    if _coded_bits(jpeg) < _least_bits(jpeg) or not _is_complete(jpeg):
        return ENDS_EARLY
    for scan in jpeg.scans:
        if not _restarts_fit(data, jpeg, scan):
            return "its restart markers are out of order, or missing"
        if _has_hole(data, jpeg, scan):
            return "a part of it is zeros"
    return None


def jpeg_probe(data: bytes, jpeg: Jpeg) -> bytes | None:
    """Return a file that decodes to the same pixels if, and only if, no scan ends too early.

    Return None where this cannot be tested: for arithmetic and lossless coding.
    """
    if not jpeg.huffman:
        return None
    last = jpeg.scans[-1]
    if jpeg.at_once:
        # Without an end marker: decoders complain about surplus data in front of one.
        return data[: last.end] + _NOISE
    parts, at = [], 0
    for scan in jpeg.scans:
        coded = _FILLED_RESTART.sub(
            lambda found: _NOISE + found.group(), data[scan.start : scan.end]
        )
        parts += [data[at : scan.start], coded, _NOISE]
        at = scan.end
    return b"".join(parts) + b"\xff\xd9"


def with_end(data: bytes, jpeg: Jpeg) -> bytes:
    """Return the file with an end marker, which some cameras omit."""
    return data if jpeg.ended else data.rstrip(b"\xff") + b"\xff\xd9"


def _end_of_scan(data: bytes, start: int) -> int:
    found = _MARKER.search(data, start)
    end = found.start() if found else len(data)
    while end > start and data[end - 1] == 0xFF:  # fill bytes
        end -= 1
    return end


def _read_frame(found: Jpeg, marker: int, body: bytes) -> None:
    found.kind = marker
    found.height = int.from_bytes(body[1:3], "big")
    found.width = int.from_bytes(body[3:5], "big")
    for at in range(6, min(len(body) - 2, 6 + 3 * body[5]), 3):
        across, down = body[at + 1] >> 4, body[at + 1] & 15
        found.components[body[at]] = Component(max(1, across), max(1, down))


def _first_codes(body: bytes) -> Iterator[tuple[tuple[int, int], int]]:
    """Yield ((class, table), symbol of the all-zeros code) from a Huffman table segment."""
    at = 0
    while at + 17 < len(body):
        count = sum(body[at + 1 : at + 17])
        if count:
            yield (body[at] >> 4, body[at] & 15), body[at + 17]
        at += 17 + count


def _read_scan(
    data: bytes, body: bytes, start: int, tables: Mapping[tuple[int, int], int], interval: int
) -> Scan | None:
    count = body[0] if body else 0
    if not count or len(body) < 4 + 2 * count:
        return None
    chosen = [(body[1 + 2 * i], body[2 + 2 * i]) for i in range(count)]
    zeros: dict[tuple[int, int], int] = {}
    for component, places in chosen:
        for kind, place in ((0, places >> 4), (1, places & 15)):
            if (kind, place) in tables:
                zeros[kind, component] = tables[kind, place]
    first, last, bits = body[1 + 2 * count : 4 + 2 * count]
    end = _end_of_scan(data, start)
    names = tuple(component for component, _ in chosen)
    return Scan(names, zeros, first, last, bits >> 4, bits & 15, interval, start, end)


def _coded_bits(jpeg: Jpeg) -> int:
    return 8 * sum(scan.end - scan.start for scan in jpeg.scans)


def _least_bits(jpeg: Jpeg) -> int:
    """Return the fewest bits that can code this many blocks."""
    blocks = sum(jpeg.blocks(component) for component in jpeg.components.values())
    # One code for the mean of a block, and one for its end unless another scan holds that.
    return blocks if jpeg.kind == _PROGRESSIVE else 2 * blocks


def _is_complete(jpeg: Jpeg) -> bool:
    """Whether the scans complete every coefficient of every component to the last bit."""
    for component in jpeg.components:
        scans = [scan for scan in jpeg.scans if component in scan.components]
        if jpeg.kind != _PROGRESSIVE:
            if not scans:
                return False
            continue
        missing = [-1] * 64
        for scan in scans:
            span = slice(scan.first, scan.last + 1)
            missing[span] = [scan.low] * len(missing[span])
        if any(missing):
            return False
    return True


def _restarts_fit(data: bytes, jpeg: Jpeg, scan: Scan) -> bool:
    """Whether the restart markers cycle from 0 to 7 and are as many as expected.

    Some encoders write one more after the last unit.
    """
    found = [marker.group()[-1] & 7 for marker in _RESTART.finditer(data, scan.start, scan.end)]
    if not scan.interval:
        return not found
    expected = -(-jpeg.units(scan) // scan.interval) - 1
    in_order = all(number == place % 8 for place, number in enumerate(found))
    return in_order and len(found) in (expected, expected + 1)


def _has_hole(data: bytes, jpeg: Jpeg, scan: Scan) -> bool:
    """Whether there is a run of zero bytes that no encoder would write.

    Encoders do write one where zeros are the shortest code for "as before, and nothing else".
    """
    if data.find(_HOLE, scan.start, scan.end) < 0:
        return False
    dc = [code for (kind, _), code in scan.zero_codes.items() if kind == 0]
    ac = [code for (kind, _), code in scan.zero_codes.items() if kind == 1]
    if jpeg.kind != _PROGRESSIVE:
        return any(dc) or any(ac)
    if scan.first == 0:
        return not scan.high and any(dc)
    return any(code & 15 for code in ac)
