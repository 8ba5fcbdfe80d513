"""Look at the bytes of a picture file before they are decoded: is it whole, and how large?"""

from __future__ import annotations

import zlib

from edge_ovss.frames.image_files.headers import picture_header
from edge_ovss.frames.image_files.jpeg_scan import TRUNCATED, jpeg_fault, read_jpeg

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# Values of a pixel by the color type of a PNG; and the most that deflate makes of one byte.
_PNG_VALUES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_MOST_INFLATED = 1032


def picture_fault(data: bytes) -> str | None:
    """Return what is wrong with a PNG, JPEG or WebP file, or None; other formats give None.

    A JPEG has no checksum: see `jpeg_files` for what more is done.

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
    """Return (height, width) as stored in a picture file, or None where it is not known."""
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
    """Return how many bytes the pixels of a PNG are, before they are deflated."""
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    bits = data[24] * _PNG_VALUES.get(data[25], 1)
    return height * (width * bits // 8)
