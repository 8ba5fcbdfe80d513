"""Read the orientation of an image from its file, and rotate the decoded image upright.

Which formats OpenCV rotates depends on its version, so it is told to rotate none, and all are
rotated here alike. TIFF is the exception: OpenCV's reader always rotates it.
"""

from __future__ import annotations

import re
from typing import Any

from numpy.typing import NDArray

from edge_ovss.frames.image_files.headers import png_chunks, riff_chunks
from edge_ovss.frames.image_files.jpeg_scan import jpeg_segments
from edge_ovss.frames.image_files.tiff_tags import ORIENTATION, tiff_pages

_UPRIGHT = 1
_APP1, _SCAN = 0xE1, 0xDA
_EXIF = b"Exif\0\0"
# EXIF orientation by (quarter turns to the left, then mirrored top to bottom or left to right).
_TURNS = {
    (0, None): 1,
    (1, None): 8,
    (2, None): 3,
    (3, None): 6,
    (0, 0): 4,
    (1, 0): 5,
    (2, 0): 2,
    (3, 0): 7,
    (0, 1): 2,
    (1, 1): 7,
    (2, 1): 4,
    (3, 1): 5,
}


def picture_orientation(data: bytes, kind: str | None) -> int:
    """Return the EXIF orientation, 1 to 8, that must still be applied to a decoded image.

    Args:
        data: The whole file.
        kind: Its format, as named by `picture_format`.
    """
    if kind == "AVIF":
        return _avif(data)
    exif = {"JPEG": _jpeg_exif, "PNG": _png_exif, "WebP": _webp_exif}.get(kind or "")
    if exif is None:
        return _UPRIGHT
    for tags in tiff_pages(exif(data).removeprefix(_EXIF)):
        number = tags.get(ORIENTATION, _UPRIGHT)
        return number if 1 <= number <= 8 else _UPRIGHT
    return _UPRIGHT


def turn_upright(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return a view of an image [H, W, ...], rotated and mirrored by EXIF orientation 1 to 8."""
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image


def _jpeg_exif(data: bytes) -> bytes:
    for marker, start, end in jpeg_segments(data):
        if marker == _APP1 and data.startswith(_EXIF, start):
            return data[start:end]
        if marker == _SCAN:
            break
    return b""


def _png_exif(data: bytes) -> bytes:
    return next((data[start:end] for kind, start, end in png_chunks(data) if kind == b"eXIf"), b"")


def _webp_exif(data: bytes) -> bytes:
    return next((data[start:end] for kind, start, end in riff_chunks(data) if kind == b"EXIF"), b"")


def _avif(data: bytes) -> int:
    """Return the orientation from the boxes `irot` and `imir`; AVIF ignores EXIF."""
    head = data[: 1 << 16]
    turn = re.search(rb"\0\0\0\x09irot(.)", head, re.DOTALL)
    mirror = re.search(rb"\0\0\0\x09imir(.)", head, re.DOTALL)
    turns = turn.group(1)[0] & 3 if turn else 0
    return _TURNS[turns, mirror.group(1)[0] & 1 if mirror else None]
