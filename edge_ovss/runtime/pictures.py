"""Read pictures as frames, and write label maps; through OpenCV."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.errors import PictureError
from edge_ovss.runtime.picture_files import picture_fault, picture_size
from edge_ovss.runtime.result import Labels
from edge_ovss.runtime.writing import write_bytes

MAX_PIXELS = 1 << 28
MAX_BYTES = 1 << 30

_FORMATS = "Expected a picture such as PNG, JPEG, BMP, TIFF or WebP."


def read_picture(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read a picture as a frame.

    Grey is repeated to three channels, a palette is looked up, alpha is dropped (not blended), 16
    bits per channel become 8 by v / 257 rounded, and the EXIF orientation is applied.

    Args:
        path: A file; the format is found by content, not by suffix.

    Returns:
        uint8 [H, W, 3], RGB, C-contiguous.

    Raises:
        PictureError: The file is not there, is empty, no picture, damaged, or too large.
        MissingDependencyError: OpenCV is not installed.
    """
    file = Path(path)
    data = _read_file(file)
    fault = picture_fault(data)
    if fault is not None:
        message = f"Picture '{file}' cannot be read: {fault}."
        raise PictureError(message, hint="Copy it again.")
    size = picture_size(data)
    if size is not None:
        _check_size(file, *size)
    return _to_frame(file, _decode(file, data))


def write_label_map(path: str | os.PathLike[str], labels: Labels) -> None:
    """Write a label map as a PNG with one channel of 8 bits (uint8) or 16 bits (uint16).

    Raises:
        PictureError: `labels` is not uint8 or uint16 [H, W].
        OutputError: It cannot be written; what was at `path` is then unchanged.
    """
    if labels.ndim != 2 or labels.dtype not in (np.uint8, np.uint16):
        message = f"Label map has {labels.dtype} {labels.shape}; expected uint8 or uint16 [H, W]."
        raise PictureError(message)
    _write_png(Path(path), labels)


def write_picture(path: str | os.PathLike[str], frame: NDArray[np.uint8]) -> None:
    """Write uint8 [H, W, 3] RGB as a PNG.

    Raises:
        OutputError: It cannot be written; what was at `path` is then unchanged.
    """
    _write_png(Path(path), np.ascontiguousarray(frame[:, :, ::-1]))


def _read_file(file: Path) -> bytes:
    if not file.exists():
        message = f"Picture '{file}' does not exist."
        raise PictureError(message, hint="Check the path.")
    if not file.is_file():
        message = f"'{file}' is not a file; expected a picture."
        raise PictureError(message, hint="Give one picture of the folder.")
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            message = f"Picture '{file}' has {size} bytes; expected at most {MAX_BYTES}."
            raise PictureError(message, hint="Give a smaller picture.")
        data = file.read_bytes()
    except OSError as err:
        message = f"Picture '{file}' cannot be read: {err.strerror or err}."
        raise PictureError(message, hint="Check its permissions and the disk.") from err
    if not data:
        message = f"Picture '{file}' is empty (0 bytes)."
        raise PictureError(message, hint="Copy it again.")
    return data


def _check_size(file: Path, height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        message = (
            f"Picture '{file}' is {height} x {width}, {height * width} pixels; "
            f"expected at most {MAX_PIXELS}."
        )
        raise PictureError(message, hint="Scale it down, or cut it into tiles.")


def _decode(file: Path, data: bytes) -> NDArray[Any]:
    """Return BGR [H, W, 3] in the file's own depth."""
    cv2 = require("cv2", extra="onnxruntime")
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as err:
        lines = str(err).strip().splitlines()
        message = f"Picture '{file}' cannot be decoded: {lines[0] if lines else 'no reason given'}"
        raise PictureError(message, hint=_FORMATS) from err
    except MemoryError as err:
        message = f"Picture '{file}' does not fit in memory."
        raise PictureError(message, hint="Scale it down, or cut it into tiles.") from err
    if image is None or image.size == 0:
        message = f"'{file}' is not a picture, or is damaged."
        raise PictureError(message, hint=_FORMATS)
    decoded: NDArray[Any] = image
    return decoded


def _to_frame(file: Path, image: NDArray[Any]) -> NDArray[np.uint8]:
    _check_size(file, image.shape[0], image.shape[1])
    if image.dtype == np.uint16:
        # 65535 / 257 = 255 exactly; 128 is half of 257, rounded down, so this rounds to nearest.
        image = ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if image.dtype != np.uint8:
        message = f"Picture '{file}' has values of type {image.dtype}; expected 8 or 16 bits."
        raise PictureError(message, hint="Convert it to 8 bits; how bright is white is unknown.")
    return np.ascontiguousarray(image[:, :, ::-1])


def _write_png(path: Path, array: NDArray[Any]) -> None:
    cv2 = require("cv2", extra="onnxruntime")
    done, data = cv2.imencode(".png", array)
    if not done:
        message = f"A picture of shape {array.shape} cannot be encoded as PNG."
        raise PictureError(message)
    write_bytes(path, data.tobytes())
