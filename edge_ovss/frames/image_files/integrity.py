"""Check the bytes of an image file before decoding: is it complete, and how large is it?"""

from __future__ import annotations

import zlib

from edge_ovss.frames.image_files.headers import picture_header
from edge_ovss.frames.image_files.jpeg_scan import TRUNCATED, jpeg_fault, read_jpeg

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# Values per pixel by PNG color type, and the most bytes that deflate expands one byte to.
_PNG_VALUES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_MOST_INFLATED = 1032


def picture_fault(data: bytes) -> str | None:
    """Return what is wrong with a PNG, JPEG or WebP file, or None; other formats give None.

    A JPEG has no checksum: `jpeg_scan` says what else is checked.

    Args:
        data: The whole file.
    """
    if data.startswith(_PNG):
        return _png_fault(data)
    if data.startswith(_JPEG):
        return jpeg_fault(data, read_jpeg(data))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        whole = len(data) >= int.from_bytes(data[4:8], "little") + 8
        return None if whole else TRUNCATED
    return None


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Return (height, width) as stored in an image file, or None if unknown."""
    header = picture_header(data)
    return None if header is None else (header.height, header.width)


def _png_fault(data: bytes) -> str | None:
    at = len(_PNG)
    coded = 0
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        end = at + 12 + size
        if end > len(data):
            break
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            return f"its part {kind!r} is damaged"
        coded += size if kind == b"IDAT" else 0
        if kind == b"IEND":
            return None if coded * _MOST_INFLATED >= _png_raster(data) else TRUNCATED
        at = end
    return TRUNCATED


def _png_raster(data: bytes) -> int:
    """Return the number of bytes of a PNG's pixels before compression."""
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    bits = data[24] * _PNG_VALUES.get(data[25], 1)
    return height * (width * bits // 8)
