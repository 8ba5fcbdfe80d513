"""Look at the bytes of a picture file before they are decoded: is it whole, and how large?

Decoders fill what is missing of a truncated JPEG with grey and say nothing, so it is found here.
"""

from __future__ import annotations

import struct
import zlib

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# Start-of-frame markers of JPEG; 0xC4, 0xC8 and 0xCC in their range mean something else.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def picture_fault(data: bytes) -> str | None:
    """Return what is wrong with a PNG, JPEG or WebP file, or None; other formats give None.

    Args:
        data: The whole file.
    """
    if data.startswith(_PNG):
        return _png_fault(data)
    if data.startswith(_JPEG):
        return None if _jpeg_is_whole(data) else "it is truncated"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        whole = len(data) >= int.from_bytes(data[4:8], "little") + 8
        return None if whole else "it is truncated"
    return None


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Return (height, width) as stored in a PNG or JPEG file, or None where it is not known."""
    if data.startswith(_PNG) and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return height, width
    if data.startswith(_JPEG):
        return _jpeg_size(data)
    return None


def _png_fault(data: bytes) -> str | None:
    at = len(_PNG)
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        end = at + 12 + size
        if end > len(data):
            break
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            return f"its part {kind!r} is damaged"
        if kind == b"IEND":
            return None
        at = end
    return "it is truncated"


def _jpeg_segments(data: bytes) -> list[tuple[int, int]]:
    """Return (marker, position of its length) up to and with the start of the first scan."""
    segments = []
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        segments.append((marker, at + 2))
        if marker == 0xDA:
            break
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return segments


def _jpeg_is_whole(data: bytes) -> bool:
    """Say whether an end marker follows the first scan; in scan data 0xFF is followed by 0."""
    segments = _jpeg_segments(data)
    if not segments or segments[-1][0] != 0xDA:
        return False
    return data.find(b"\xff\xd9", segments[-1][1]) >= 0


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    for marker, at in _jpeg_segments(data):
        if marker in _FRAMES and at + 7 <= len(data):
            height, width = struct.unpack(">HH", data[at + 3 : at + 7])
            return height, width
    return None
