"""Read label maps raw: the stored numbers, never the colors of a palette."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.errors import PictureError
from edge_ovss.frames.image_files.headers import picture_header
from edge_ovss.frames.image_files.integrity import picture_fault
from edge_ovss.frames.images import MAX_BYTES, MAX_PIXELS

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY, _PALETTE = 0, 3
_DROPPED = (b"PLTE", b"tRNS", b"bKGD", b"hIST", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT")

RawLabels = NDArray[np.uint8] | NDArray[np.uint16]


def read_label_file(path: Path) -> RawLabels:
    """Read a label map: PNG (gray or palette, 1 to 16 bits) or TIFF (8 or 16 bits).

    Returns:
        uint8 or uint16 [H, W]: the stored numbers; of a palette, the index.

    Raises:
        PictureError: It cannot be read, is too large or truncated, has several channels, or is not
            of 8 or 16 bits.
        MissingDependencyError: OpenCV is not installed.
    """
    data = _read(path)
    header = _png_header(data)
    bits = 8 if header is None else header[0]
    labels = _decode(path, data if header is None or header[1] != _PALETTE else _as_gray(data))
    if bits < 8:
        # The decoder scales 1, 2 or 4 bits to 0..255; undo that.
        labels = labels // np.uint8(255 // ((1 << bits) - 1))
    return labels


def _read(path: Path) -> bytes:
    """Return a file whose size, as stored and as decoded, is within the limits of images."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            message = f"Label map '{path}' has {size} bytes; expected at most {MAX_BYTES}."
            raise PictureError(message, hint="Give a smaller one.")
        data = path.read_bytes()
    except OSError as err:
        message = f"Label map '{path}' cannot be read: {err.strerror or err}."
        raise PictureError(message, hint="Check the path, its permissions and the disk.") from err
    header = picture_header(data)
    if header is not None and header.height * header.width > MAX_PIXELS:
        message = (
            f"Label map '{path}' is {header.height} x {header.width}, "
            f"{header.height * header.width} pixels; expected at most {MAX_PIXELS}."
        )
        raise PictureError(message, hint="Cut it into tiles.")
    fault = picture_fault(data)
    if fault is not None:
        message = f"Label map '{path}' cannot be read: {fault}."
        raise PictureError(message, hint="Copy it again.")
    return data


def _png_header(data: bytes) -> tuple[int, int] | None:
    """Return (bits, color type) of a PNG, or None."""
    if not data.startswith(_SIGNATURE) or len(data) < 33:
        return None
    return data[24], data[25]


def _as_gray(data: bytes) -> bytes:
    """Return a palette PNG as a gray one of the same numbers: decoders would apply the palette."""
    parts, position = [_SIGNATURE], len(_SIGNATURE)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length
        if kind == b"IHDR":
            body = body[:9] + bytes([_GRAY]) + body[10:]
        if kind not in _DROPPED:
            checksum = struct.pack(">I", zlib.crc32(kind + body))
            parts.append(struct.pack(">I", len(body)) + kind + body + checksum)
    return b"".join(parts)


def _decode(path: Path, data: bytes) -> RawLabels:
    cv2 = require("cv2", extra="onnxruntime")
    try:
        labels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    except cv2.error:
        labels = None
    if labels is None:
        message = f"'{path}' is not a label map that can be decoded, or is damaged."
        raise PictureError(message, hint="Expected PNG or TIFF with one channel.")
    if labels.ndim != 2:
        message = f"Label map '{path}' has {labels.shape[2]} channels; expected one, of numbers."
        raise PictureError(message, hint="Convert colored maps to category numbers.")
    if labels.dtype not in (np.uint8, np.uint16):
        message = f"Label map '{path}' has values of type {labels.dtype}; expected 8 or 16 bits."
        raise PictureError(message)
    numbers: RawLabels = labels
    return numbers
