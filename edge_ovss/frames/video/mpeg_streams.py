"""Find out whether an MPEG transport or program stream ends inside one of its packets.

Neither states its length. What can be seen is a packet, or a frame in packets, without its end.
"""

from __future__ import annotations

from typing import BinaryIO

OPEN_FRAME = "its last frame has no end"
"""The result of `transport_cut` that may be wrong: one complete frame in 184 fits by chance."""

_SYNC = 0x47
_PACKETS = ((188, 0), (192, 4), (204, 0))
_CHECKED = 5
_TAIL = 4 << 20
_START = b"\0\0\1"
_PACK = b"\0\0\1\xba"
_END = b"\0\0\1\xb9"


def packet_form(head: bytes) -> tuple[int, int] | None:
    """Return the size of a transport packet and the offset of its sync byte; None otherwise."""
    for size, sync in _PACKETS:
        marks = head[sync : size * _CHECKED : size]
        if marks and len(head) > size and set(marks) == {_SYNC}:
            return size, sync
    return None


def transport_cut(file: BinaryIO, there: int, form: tuple[int, int]) -> str | None:
    """Return what a transport stream lacks at its end, in words, or None."""
    size, sync = form
    if there % size:
        return "its last packet is incomplete"
    first = max(0, there - _TAIL // size * size)
    file.seek(first)
    tail = file.read(there - first)
    packets = (tail[at + sync : at + sync + 188] for at in range(0, len(tail), size))
    streams: dict[int, _Frame] = {}
    for packet in packets:
        _follow(streams, packet)
    if any(frame.open for frame in streams.values()):
        return OPEN_FRAME
    return None


class _Frame:
    """The last frame of one of the streams: its stated size and the bytes seen so far."""

    def __init__(self, header: bytes) -> None:
        self._stated = int.from_bytes(header[4:6], "big")
        self._got = -6
        self._full = False

    def add(self, payload: bytes) -> None:
        self._got += len(payload)
        # The last packet of a frame is padded, unless the frame fits by chance.
        self._full = len(payload) == 184

    @property
    def open(self) -> bool:
        return self._got < self._stated if self._stated else self._full


def _follow(streams: dict[int, _Frame], packet: bytes) -> None:
    if packet[0] != _SYNC or not packet[3] & 0x10:
        return
    number = int.from_bytes(packet[1:3], "big") & 0x1FFF
    payload = packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]
    if packet[1] & 0x40:
        if not payload.startswith(_START):  # a table, not a frame
            return
        streams[number] = _Frame(payload)
    if number in streams:
        streams[number].add(payload)


def program_cut(file: BinaryIO, there: int) -> str | None:
    """Return what a program stream lacks at its end, in words, or None."""
    first = max(0, there - _TAIL)
    file.seek(first)
    tail = file.read(there - first)
    at = tail.rfind(_PACK)
    while 0 <= at < len(tail):
        head = tail[at : at + 14]
        if head.startswith(_END):
            return None
        if len(head) < 6 and not any(head):  # padding
            return None
        if head[:3] != _START[: len(head)]:
            return None
        if len(head) < 6 or (head.startswith(_PACK) and len(head) < 12):
            return "its last packet is incomplete"
        at += _program_size(head)
    return "its last packet is incomplete" if at > len(tail) else None


def _program_size(head: bytes) -> int:
    if not head.startswith(_PACK):
        return 6 + int.from_bytes(head[4:6], "big")
    if head[4] >> 6 == 1:  # MPEG-2
        return 14 + (head[13] & 7 if len(head) > 13 else 0)
    return 12


def lost_sync(file: BinaryIO, form: tuple[int, int]) -> bool:
    """Whether a packet of a transport stream does not begin as it must."""
    size, sync = form
    file.seek(0)
    while block := file.read(size * 4096):
        if set(block[sync::size]) - {_SYNC}:
            return True
    return False
